-- Prints, when everything listens, where and what to try. `make run` shows it; a server of yours
-- does not need it.
module:set_global()

local portmanager <const> = require "core.portmanager"

local things <const> = [[

Four things to try, in another terminal:

  nc %s
  build/gadwall status
  edit modules/mod_echo.lua, then: build/gadwall reload echo   (with nc still open)
  Ctrl-C here, and watch the phases

]]

-- What nc wants: host and port.
local function reach(listener)
	local any <const> = listener.address == "*" or listener.address == "0.0.0.0"
	return ("%s %d"):format(any and "127.0.0.1" or listener.address, listener.port)
end

local function welcome()
	local lines <const>, nc = {}, nil
	for _, service in ipairs(portmanager.list()) do
		for _, listener in ipairs(service.listeners) do
			local where <const> = listener.type == "unix" and listener.address or reach(listener)
			table.insert(lines, ("  %-14s %s"):format(service.service, where))
			if service.service == "echo" and (not nc or listener.address:find("^127%.")) then
				nc = where
			end
		end
	end
	io.stdout:write("\ngadwall serves:\n\n", table.concat(lines, "\n"), "\n", things:format(nc))
	io.stdout:flush()
end

module:hook("server-started", function (event)
	-- A worker that is started again says nothing: somebody has read it already.
	if not event.inherited then
		module:add_timer(0.1, welcome) -- below the last line of the start
	end
end)
