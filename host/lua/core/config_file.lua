--- Reading config files: never blocks on a FIFO or device, has a size limit, judges the opened
-- descriptor. Rules: PROCESSES.md "Root start and files".

local fcntl <const> = require "posix.fcntl"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"

local max_size <const> = 16 * 1024 * 1024

local kinds <const> = {
	{ stat.S_ISDIR, "is a directory" },
	{ stat.S_ISFIFO, "is a FIFO" },
	{ stat.S_ISCHR, "is a device" },
	{ stat.S_ISBLK, "is a device" },
	{ stat.S_ISSOCK, "is a socket" },
}

local config_file <const> = { max_size = max_size }

local function strerror(err)
	-- luaposix prefixes the path; the caller names it already.
	local text = tostring(err):gsub("^.*: ", "")
	return text:sub(1, 1):lower() .. text:sub(2)
end

local function check_kind(info)
	if stat.S_ISREG(info.st_mode) ~= 0 then
		return true
	end
	for _, kind in ipairs(kinds) do
		if kind[1](info.st_mode) ~= 0 then
			return nil, kind[2] .. ", not a regular file"
		end
	end
	return nil, "is not a regular file"
end

--- What is wrong with the rights of a file.
-- @param info result of fstat on the opened file
-- @param opts as_root (bool), uid (of `user`, number or nil)
-- @return list of { severity, message }
function config_file.judge(info, opts)
	local found = {}
	local mode, owner = info.st_mode, info.st_uid
	if mode & stat.S_IWOTH ~= 0 then
		found[1] = { severity = opts.as_root and "error" or "warning",
			message = "may be written by everyone (chmod o-w)" }
	elseif mode & stat.S_IWGRP ~= 0 then
		found[1] = { severity = "warning", message = "may be written by its group (chmod g-w)" }
	end
	if owner ~= 0 and owner ~= unistd.geteuid() and owner ~= opts.uid then
		found[#found + 1] = { severity = "warning",
			message = ("belongs to uid %d, who is neither root nor us"):format(owner) }
	end
	return found
end

local function read_all(fd, size)
	if size > max_size then
		return nil, ("is larger than %d MiB"):format(max_size // 1048576)
	end
	local parts, total = {}, 0
	while true do
		local part, err = unistd.read(fd, 65536)
		if not part then
			return nil, strerror(err)
		end
		if part == "" then
			break
		end
		total = total + #part
		if total > max_size then
			return nil, ("is larger than %d MiB"):format(max_size // 1048576)
		end
		parts[#parts + 1] = part
	end
	return table.concat(parts)
end

--- Reads a regular file.
-- @param path file
-- @param opts as_root, uid: see judge
-- @return text and the list from judge; or nil, message, errno
function config_file.read(path, opts)
	local flags = fcntl.O_RDONLY | fcntl.O_NONBLOCK | fcntl.O_CLOEXEC | fcntl.O_NOCTTY
	local fd, err, errno = fcntl.open(path, flags)
	if not fd then
		return nil, strerror(err), errno
	end
	local info = stat.fstat(fd)
	local text, message
	local ok, kind = check_kind(info)
	if ok then
		text, message = read_all(fd, info.st_size)
	else
		message = kind
	end
	unistd.close(fd)
	if not text then
		return nil, message
	end
	return text, config_file.judge(info, opts or {})
end

return config_file
