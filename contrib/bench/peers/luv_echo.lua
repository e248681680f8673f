local uv <const> = require "luv"
local server <const> = uv.new_tcp()
assert(server:bind("127.0.0.1", tonumber(arg[1])))
server:listen(4096, function ()
	local client <const> = uv.new_tcp()
	server:accept(client)
	client:nodelay(true)
	client:read_start(function (_, data)
		if data then client:write(data) else client:close() end
	end)
end)
uv.run()
