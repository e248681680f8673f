/* Fuzzes the config loader: the input is the text of a config file, and of what it includes. */

static const char loader[] =
    "local manager = require 'core.configmanager'\n"
    "local source = {}\n"
    "function source:read(path)\n"
    "	self.left = self.left - 1\n"
    "	if self.left < 0 then return nil, 'no such file' end\n"
    "	return self.text, {}\n"
    "end\n"
    "function source:glob(pattern) return { pattern .. '1', pattern .. '2' } end\n"
    "function source:getenv(name) return name end\n"
    "manager.build('/dev/null')\n"
    "return function(text)\n"
    "	source.text, source.left = text, 4\n"
    "	local state = manager.build('fuzz.cfg.lua', source)\n"
    "	for _, fault in ipairs(state.faults) do\n"
    "		assert(type(fault.message) == 'string' and math.type(fault.line) == 'integer')\n"
    "		assert(fault.file and fault.severity and fault.code)\n"
    "	end\n"
    "	assert(state:errors() >= 0 and #state.hosts > 0)\n"
    "end\n";

#include "lua_fuzz.h"
