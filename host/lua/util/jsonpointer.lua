--- JSON Pointer (RFC 6901) into decoded JSON.

local jsonpointer <const> = {}

-- One step; nil for nothing there. An array has integer keys that begin with 1.
local function step(value, token)
	local key = next(value)
	if key == nil or type(key) == "string" then
		return value[token]
	elseif math.type(key) ~= "integer" then
		return nil, "invalid-table"
	elseif token == "-" then
		return value[#value + 1]
	elseif token == "0" or token:find "^[1-9]%d*$" then
		return value[tonumber(token) + 1]
	end
	return nil
end

--- @param value table
-- @param path "" (all of it) or "/name/0/…"
-- @return what is there, or nil; nil, "invalid-path" or "invalid-table"
function jsonpointer.resolve(value, path)
	if path ~= "" and path:sub(1, 1) ~= "/" then
		return nil, "invalid-path"
	end
	for token in path:gmatch "/([^/]*)" do
		if type(value) ~= "table" then
			return nil, "invalid-path"
		end
		local err
		value, err = step(value, (token:gsub("~1", "/"):gsub("~0", "~")))
		if value == nil then
			return nil, err
		end
	end
	return value
end

return jsonpointer
