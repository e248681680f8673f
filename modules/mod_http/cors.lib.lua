--- CORS headers of one app: `cors = { enabled, credentials, headers, origins }` of the app, or of
-- the option http_cors_override for its name; defaults from access_control_*.

local set <const> = require "util.set"

local cors <const> = {}

local function wants_all(origins)
	return not origins or origins == "*" or origins[1] == "*"
end

local function merged_headers(base, changes)
	local headers <const> = set.new()
	headers:include(base)
	for name, enabled in pairs(changes or {}) do
		if enabled then
			headers:add(name)
		else
			headers:remove(name)
		end
	end
	return headers
end

local function option_origins(of)
	local origins <const> = of:get_option_set("access_control_allow_origins")
	if not origins or origins:empty() or origins:contains("*") then
		return nil
	end
	return origins
end

local function is_off(of, own)
	if own then
		return own.enabled == false
	end
	return not of:get_option_boolean("http_default_cors_enabled", true)
end

-- The settings in force; nil: none.
local function settings(of, item)
	local own = of:get_option("http_cors_override", {})[item.name] or item.cors
	if is_off(of, own) then
		return nil
	end
	own = own and own.enabled == true and own or {}
	local credentials = own.credentials
	if credentials == nil then
		credentials = of:get_option_boolean("access_control_allow_credentials", false)
	end
	local origins = option_origins(of)
	if own.origins then
		origins = not wants_all(own.origins) and set.new(own.origins) or nil
	end
	return {
		credentials = credentials, origins = origins,
		headers = merged_headers(of:get_option_set("access_control_allow_headers",
			{ "Content-Type" }), own.headers),
		max_age = of:get_option_period("access_control_max_age", 2 * 60 * 60),
	}
end

local function listed(items)
	local list <const> = {}
	for item in items do
		list[#list + 1] = item
	end
	table.sort(list)
	return table.concat(list, ", ")
end

--- @return nil if the app has none; else allow(method), add(event) and answer(event) (OPTIONS)
function cors.new(of, item)
	local how <const> = settings(of, item)
	if not how then
		return nil
	end
	local methods <const> = set.new()
	methods:include(of:get_option_set("access_control_allow_methods", { "GET", "OPTIONS" }))
	local methods_text, headers_text <const> = listed(methods), listed(how.headers)
	local max_age <const> = ("%d"):format(how.max_age)
	local function add(event)
		local origin <const>, headers <const> = event.request.headers.origin, event.response.headers
		if how.origins or origin then -- a cache must not give one site's answer to another
			headers.vary = headers.vary and headers.vary .. ", Origin" or "Origin"
		end
		if how.origins and not how.origins:contains(origin) then
			return
		end
		headers.access_control_allow_methods = methods_text
		headers.access_control_allow_headers = headers_text
		headers.access_control_max_age = max_age
		headers.access_control_allow_origin = origin or "*"
		if how.credentials then
			headers.access_control_allow_credentials = "true"
		end
	end
	return {
		allow = function (method)
			methods:add(method)
			methods_text = listed(methods)
		end,
		add = add,
		answer = function (event)
			add(event)
			return ""
		end,
	}
end

return cors
