-- Files that hold a secret, one word: looked at through the opened descriptor, and refused when
-- others may use them.

local sys <const> = require "host.sys"

local secret_file <const> = {}

--- Longest secret (bytes).
secret_file.longest = 4096

local others <const> = 7 -- rights of others in a mode

-- What makes an open file unfit to hold a secret, or nil.
local function fault_of(fd)
	local found <const> = sys.stat_fd(fd)
	if not found or found.type ~= "file" then
		return "it is not a file"
	elseif found.mode & others ~= 0 then
		return ("others may use it (mode %03o; chmod o= it)"):format(found.mode & 511)
	elseif found.size > secret_file.longest then
		return ("it is longer than %d bytes"):format(secret_file.longest)
	end
end

--- Reads one.
-- @param path of the file
-- @return the secret, without the space around it; or nil, what is wrong in words, and the errno if
--   it cannot be opened
function secret_file.read(path)
	local fd, err, errno = sys.open(path)
	if not fd then
		return nil, err, errno
	end
	local fault, text = fault_of(fd), nil
	if not fault then
		text = (sys.read(fd, secret_file.longest) or ""):match("^%s*(.-)%s*$")
		fault = text == "" and "it is empty" or nil
	end
	sys.close(fd)
	return not fault and text or nil, fault
end

return secret_file
