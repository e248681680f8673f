--- Files that survive a crash: what is read is the old text or the new one, never half of it.
-- Under util.datamanager; the form of the texts is its business.

local late <const> = require "util.late"
local storelock <const> = require "util.storelock"
local sys <const> = require "host.sys"

local dirent <const> = late "posix.dirent"
local fcntl <const> = late "posix.fcntl"
local unistd <const> = late "posix.unistd"

local storefile <const> = {}

storefile.ENOENT = sys.ENOENT

local function write_all(fd, text)
	local done = 0
	while done < #text do
		local count, err, code = unistd.write(fd, done == 0 and text or text:sub(done + 1))
		if not count and code ~= sys.EINTR then
			return nil, err, code
		end
		done = done + (count or 0)
	end
	return true
end

-- A rename is on the disk once its folder is.
local function sync_folder(path)
	local fd = fcntl.open(path:match("^(.*)/[^/]*$") or ".", fcntl.O_RDONLY | fcntl.O_CLOEXEC)
	if fd then
		unistd.fsync(fd)
		unistd.close(fd)
	end
end

local function replace(path, text)
	local scratch <const>, fd <const> = path .. "~", storelock.scratch(path)
	local ok, err, code = unistd.ftruncate(fd, 0)
	if ok then
		ok, err, code = write_all(fd, text)
	end
	if ok then
		ok, err, code = unistd.fsync(fd)
	end
	if ok then
		ok, err, code = os.rename(scratch, path)
	end
	if not ok then
		return nil, err, code
	end
	storelock.renamed(path)
	sync_folder(path)
	return true
end

--- Replaces a file: a temp file beside it (`PATH~`), fsync, rename.
-- @return true; or nil, message, errno; the old file is untouched then
function storefile.write(path, text)
	return storelock.alone(path, replace, path, text)
end

--- Adds text to the end of a file; a write that fails leaves the file as it was. Who has other
-- writers beside it calls it in a storelock.alone.
-- @return true and the position where the text begins; or nil, message, errno
function storefile.append(path, text)
	local fd, err, code = fcntl.open(path, fcntl.O_WRONLY | fcntl.O_CREAT | fcntl.O_CLOEXEC
		| fcntl.O_APPEND, 438) -- 0666
	if not fd then
		return nil, err, code
	end
	local start = unistd.lseek(fd, 0, unistd.SEEK_END)
	local ok
	ok, err, code = write_all(fd, text)
	if ok then
		ok, err, code = unistd.fsync(fd)
	end
	if not ok then
		unistd.ftruncate(fd, start)
	end
	unistd.close(fd)
	if not ok then
		return nil, err, code
	elseif start == 0 then
		sync_folder(path)
	end
	return true, start
end

--- Cuts a file to its first `size` bytes.
function storefile.cut(path, size)
	return unistd.truncate(path, size)
end

--- @return the text; or nil, message, errno
function storefile.read(path)
	local file, err, code = io.open(path, "rb")
	if not file then
		return nil, err, code
	end
	local text
	text, err, code = file:read("a")
	file:close()
	return text, err, code
end

--- The last bytes of a file, "" if there is none.
function storefile.tail(path, count)
	local file = io.open(path, "rb")
	if not file then
		return ""
	end
	local size = file:seek("end")
	file:seek("set", math.max(0, size - count))
	local text = file:read("a")
	file:close()
	return text or ""
end

--- Removes a file; true as well if there was none.
function storefile.remove(path)
	local ok, err, code = os.remove(path)
	if not ok and code ~= sys.ENOENT then
		return nil, err, code
	end
	return true
end

--- @return "directory", "file" (anything else that exists), or nil
function storefile.kind(path)
	local found = sys.stat(path)
	return found and (found.type == "directory" and "directory" or "file")
end

--- The names in a folder, sorted, without "." and ".."; empty if it cannot be read.
function storefile.names(path)
	local list = {}
	local ok, names = pcall(dirent.dir, path)
	for _, name in ipairs(ok and names or {}) do
		if name ~= "." and name ~= ".." then
			list[#list + 1] = name
		end
	end
	table.sort(list)
	return list
end

--- Makes a folder and those above it; true if it is there afterwards.
function storefile.make_folder(path)
	if storefile.kind(path) == "directory" then
		return true
	end
	local above = path:match("^(.+)/[^/]+/*$")
	if above then
		storefile.make_folder(above)
	end
	sys.mkdir(path, 488) -- 0750, less the umask
	return storefile.kind(path) == "directory"
end

return storefile
