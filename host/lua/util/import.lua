-- Adds the global import(module, ...): the named fields of a module; API of Prosody's util.import.

-- luacheck: globals import
function _G.import(name, ...)
	local module = package.loaded[name] or require(name)
	if type(module) ~= "table" or select("#", ...) == 0 then return module end
	local fields = table.pack(...)
	for i = 1, fields.n do fields[i] = module[fields[i]] end
	return table.unpack(fields, 1, fields.n)
end
