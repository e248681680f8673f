--- What binding an address needs to know of the keeper, and what its errors mean to a person.

local config <const> = require "core.configmanager"
local port_address <const> = require "core.port_address"

local port_bind <const> = {}

--- host.keeper, or nil where there is no keeper (development, specs).
local function keeper()
	local ok, found = pcall(require, "host.keeper")
	return ok and found.hello and found or nil
end

--- The place of an address in the list of privileged ones, which the keeper binds for us; nil if
-- it is none.
function port_bind.privileged_index(address)
	if address.unix or address.port == 0 or address.port >= 1024 then
		return nil
	end
	for i, item in ipairs(require "core.settings".privileged_addresses()) do
		if item.interface == address.interface and item.port == address.port then
			return i
		end
	end
end

--- Whether the keeper holds the listener of an address already.
function port_bind.is_held(address)
	local k = keeper()
	for _, held in ipairs(k and k.held() or {}) do
		if held.name == address.name then
			return true
		end
	end
	return false
end

--- What a bind error means and which line of the config changes it.
function port_bind.explain(service, address, err)
	local prefix = port_address.prefix(service)
	local where = config.where("*", prefix .. "ports")
	local fix = ("%sports = { … }%s"):format(prefix, where and " (" .. where .. ")" or
		" in the config")
	if err:find("in use", 1, true) then
		if address.unix then
			return err .. ": another program listens on this path"
		end
		return ("%s: another program has port %d (ss -ltnp 'sport = :%d' shows it); change %s"):format(
			err, address.port, address.port, fix)
	elseif err:find("permission", 1, true) and address.port > 0 and address.port < 1024 then
		return ("%s: ports below 1024 need a start as root; change %s"):format(err, fix)
	elseif err:find("assign", 1, true) then
		return ("%s: this machine has no address %s; change %sinterfaces"):format(err,
			address.interface, prefix)
	end
	return err
end

--- Whether a failure to bind is only "this machine has no IPv6", with nobody having asked for it.
function port_bind.is_missing_family(address, err)
	return not address.configured and address.interface:find(":", 1, true) ~= nil
		and (err:find("family", 1, true) ~= nil or err:find("assign", 1, true) ~= nil)
end

return port_bind
