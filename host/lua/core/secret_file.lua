-- Files that hold a secret, one word: looked at through the opened descriptor, and refused when
-- others may use them.

local fcntl <const> = require "posix.fcntl"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"

local secret_file <const> = {}

--- Longest secret (bytes).
secret_file.longest = 4096

local others <const> = 7 -- rights of others in a mode

-- What makes an open file unfit to hold a secret, or nil.
local function fault_of(fd)
	local found <const> = stat.fstat(fd)
	if not found or stat.S_ISREG(found.st_mode) == 0 then
		return "it is not a file"
	elseif found.st_mode & others ~= 0 then
		return ("others may use it (mode %03o; chmod o= it)"):format(found.st_mode & 511)
	elseif found.st_size > secret_file.longest then
		return ("it is longer than %d bytes"):format(secret_file.longest)
	end
end

--- Reads one.
-- @param path of the file
-- @return the secret, without the space around it; or nil, what is wrong in words, and the errno if
--   it cannot be opened
function secret_file.read(path)
	local fd, err, errno = fcntl.open(path, fcntl.O_RDONLY | fcntl.O_NONBLOCK | fcntl.O_CLOEXEC)
	if not fd then
		return nil, err, errno
	end
	local fault, text = fault_of(fd), nil
	if not fault then
		text = (unistd.read(fd, secret_file.longest) or ""):match("^%s*(.-)%s*$")
		fault = text == "" and "it is empty" or nil
	end
	unistd.close(fd)
	return not fault and text or nil, fault
end

return secret_file
