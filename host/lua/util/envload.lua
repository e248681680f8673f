--- Loading chunks with an environment (Prosody's util.envload). Text only: bytecode can crash
-- the VM.

--- @param code chunk text
-- @param source chunk name, as for load()
-- @param env table of globals
-- @return function, or nil and the message
local function envload(code, source, env)
	return load(code, source, "t", env)
end

--- As envload, from a file.
local function envloadfile(path, env)
	local file, err, errno = io.open(path)
	if not file then
		return nil, err, errno
	end
	local code, read_err = file:read("a")
	file:close()
	if not code then
		return nil, read_err
	end
	return load(code, "@" .. path, "t", env)
end

return { envload = envload, envloadfile = envloadfile }
