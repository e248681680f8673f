--- Reading config files: never blocks on a FIFO or device, has a size limit, judges the opened
-- descriptor.

local sys <const> = require "host.sys"

local max_size <const> = 16 * 1024 * 1024

local kinds <const> = {
	directory = "is a directory", fifo = "is a FIFO", ["character device"] = "is a device",
	["block device"] = "is a device", socket = "is a socket",
}
local by_group <const>, by_others <const> = 16, 2 -- S_IWGRP, S_IWOTH

local config_file <const> = { max_size = max_size }

local function check_kind(info)
	if info.type == "file" then
		return true
	end
	local kind <const> = kinds[info.type]
	return nil, kind and kind .. ", not a regular file" or "is not a regular file"
end

--- What is wrong with the rights of a file.
-- @param info what host.sys.stat_fd says of the opened file
-- @param opts as_root (bool), uid (of `user`, number or nil)
-- @return list of { severity, message, everyone (true: everyone may write it) }
function config_file.judge(info, opts)
	local found = {}
	local mode, owner = info.mode, info.uid
	if mode & by_others ~= 0 then
		found[1] = { severity = opts.as_root and "error" or "warning", everyone = true,
			message = "may be written by everyone (chmod o-w)" }
	elseif mode & by_group ~= 0 then
		found[1] = { severity = "warning", message = "may be written by its group (chmod g-w)" }
	end
	if owner ~= 0 and owner ~= select(2, sys.ids()) and owner ~= opts.uid then
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
		local part, err = sys.read(fd, 65536)
		if not part and err == "closed" then
			break
		elseif not part then
			return nil, err
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
	local fd, err, errno = sys.open(path)
	if not fd then
		return nil, err, errno
	end
	local info = sys.stat_fd(fd)
	local text, message
	local ok, kind = check_kind(info)
	if ok then
		text, message = read_all(fd, info.size)
	else
		message = kind
	end
	sys.close(fd)
	if not text then
		return nil, message
	end
	return text, config_file.judge(info, opts or {})
end

return config_file
