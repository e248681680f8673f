--- Options of a command line (Prosody's util.argparse): --name, --name=value, --no-name, -n, "--".

local argparse <const> = {}

-- The long name of a word, maybe with "=value"; nil for a short one that nobody knows.
local function long_name(raw, short)
	local name <const> = raw:gsub("^%-%-?", "")
	if raw:find "^%-%-" then
		return name
	elseif #name == 1 then
		return short[name]
	elseif name:sub(2, 2) == "=" and short[name:sub(1, 1)] then
		return short[name:sub(1, 1)] .. name:sub(2)
	end
	return name
end

-- Name and value, which may be the next word; nil if that is missing.
local function name_and_value(name, arg, takes_value)
	local key, value = name:match "^([^=]+)=(.+)$"
	if key then
		return key, value
	elseif takes_value(name) then
		return name, table.remove(arg, 1)
	elseif name:find "^no%-" then
		return name:sub(4), false
	end
	return name, true
end

local function is_known(config, key)
	for _, set in ipairs { "value_params", "array_params", "kv_params" } do
		if config[set] and config[set][key] ~= nil then
			return true
		end
	end
	return false
end

local function read_one(arg, config, opts)
	local raw <const> = table.remove(arg, 1)
	local values <const>, lists <const> = config.value_params or {}, config.array_params or {}
	local name = long_name(raw, config.short_params or {})
	if not name then
		return nil, "param-not-found", raw
	end
	local key, value = name_and_value(name, arg, function (word)
		return values[word] or lists[word]
	end)
	if value == nil then
		return nil, "missing-value", raw
	elseif config.strict and not is_known(config, key) then
		return nil, "param-not-found", raw
	elseif lists[key] then
		opts[key] = opts[key] or {}
		table.insert(opts[key], value)
	else
		opts[key] = value
	end
	return true
end

--- @param arg list, from which the options are taken away
-- @param config optional: short_params { h = "help" }, value_params (set of names that take the
-- next word), array_params (the same, again and again), strict (only names that are in a set),
-- stop_on_positional (false: options may stand behind other words)
-- @return table of options, the other words in its list part; or nil, "param-not-found" or
-- "missing-value", the word
function argparse.parse(arg, config)
	config = config or {}
	local opts <const> = {}
	while arg[1] do
		if arg[1] == "--" then
			table.remove(arg, 1)
			break
		elseif arg[1]:sub(1, 1) == "-" then
			local ok, err, raw = read_one(arg, config, opts)
			if not ok then
				return nil, err, raw
			end
		elseif config.stop_on_positional == false then
			table.insert(opts, table.remove(arg, 1))
		else
			break
		end
	end
	return table.move(arg, 1, #arg, #opts + 1, opts)
end

return argparse
