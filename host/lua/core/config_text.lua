--- The text of one config file: read, judged, and what Lua says of it.

local config_text <const> = {}

--- Splits Lua's "file:line: message".
function config_text.split_error(err, file)
	local where, line, message = tostring(err):match("^(.-):(%d+): (.*)$")
	-- Lua shortens long paths to "...end/of/path".
	local tail = where and where:gsub("^%.%.%.", "")
	if where and (where == file or file:sub(-#tail) == tail) then
		return tonumber(line), message
	end
	return nil, tostring(err)
end

local function file_fault(state, scope, line, path, message)
		state:fault {
		file = scope and scope.file or path, line = line or 1, column = 1, severity = "error",
		code = "unreadable-file",
		message = scope and ("Include: cannot read %s: %s"):format(path, message) or message,
	}
end

--- The text of a config file, or nil with a fault noted.
-- @param state the load in progress
-- @param path file
-- @param from scope that includes it, nil for the main file; line: where
function config_text.read(state, path, from, line)
	local text, detail = state.source:read(path)
	if not text then
		return file_fault(state, from, line, path, detail)
	end
	for _, item in ipairs(detail or {}) do
		state:fault { file = path, line = 1, column = 1, severity = item.severity,
			code = "unsafe-file", message = item.message }
	end
	if not from and text == "" then
		return file_fault(state, nil, 1, path, "is empty (0 bytes)")
	end
	local valid, at = utf8.len(text)
	if not valid or text:find("\0", 1, true) then
		at = at or text:find("\0", 1, true)
		local _, newlines = text:sub(1, at):gsub("\n", "")
		state:fault { file = path, line = newlines + 1, severity = "error", code = "not-utf8",
			column = #text:sub(1, at - 1):match("[^\n]*$") + 1,
			message = ("is not UTF-8 text (byte %d)"):format(at) }
		return nil
	end
	return text
end

return config_text
