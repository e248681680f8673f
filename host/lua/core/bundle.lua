--- The bundle: every text that the config used, in one string.
--
-- The reader runs the config over a *recording* source (disk); what it read becomes the bundle,
-- and all workers of the generation run the config over the bundle instead of the disk. A source
-- has:
--   source:read(path)    -> text, judgement; or nil, message, errno
--   source:glob(pattern) -> sorted list of paths
--   source:getenv(name)  -> string or nil
--
-- Format: "GWBUNDLE", version, checksum of the rest, count, then per record kind, key and value,
-- each with its length.

local magic <const> = "GWBUNDLE"
local version <const> = 1
local header <const> = "<c8 I4 i8 I4"
local max_records <const> = 10000

local bundle <const> = {}

--- Checksum against damage, not against attack: the channel is private.
local function checksum(text)
	local sum = 0x1505
	local whole = #text - #text % 64
	local unpack <const> = string.unpack
	for i = 1, whole, 64 do
		local a, b, c, d, e, f, g, h = unpack("<i8i8i8i8i8i8i8i8", text, i)
		sum = ((((((((sum * 31 + a) * 31 + b) * 31 + c) * 31 + d) * 31 + e) * 31 + f) * 31 + g)
			* 31 + h)
	end
	for i = whole + 1, #text do
		sum = sum * 31 + text:byte(i)
	end
	return sum + #text
end

--- @param records list of { kind, key, value }
-- @return the bundle's text
function bundle.encode(records)
	local parts = {}
	for i, record in ipairs(records) do
		parts[i] = string.pack("<s4s4s4", record[1], record[2], record[3])
	end
	local body = table.concat(parts)
	return string.pack(header, magic, version, checksum(body), #records) .. body
end

--- Strict: exact length, known version, right checksum.
-- @return list of { kind, key, value }; or nil and the reason
function bundle.decode(text)
	if #text < string.packsize(header) then
		return nil, "bundle-too-short"
	end
	local found, number, sum, count, pos = string.unpack(header, text)
	if found ~= magic then
		return nil, "not-a-bundle"
	elseif number ~= version then
		return nil, "bundle-version", number
	elseif count > max_records then
		return nil, "bundle-too-large", count
	elseif checksum(text:sub(pos)) ~= sum then
		return nil, "bundle-damaged"
	end
	local records = {}
	for i = 1, count do
		local ok, kind, key, value, next_pos = pcall(string.unpack, "<s4s4s4", text, pos)
		if not ok then
			return nil, "bundle-damaged"
		end
		records[i] = { kind, key, value }
		pos = next_pos
	end
	if pos ~= #text + 1 then
		return nil, "bundle-damaged"
	end
	return records
end

local disk_mt <const> = {}
disk_mt.__index = disk_mt

local function record(self, kind, key, value)
	if not self.seen[kind .. key] then
		self.seen[kind .. key] = true
		self.records[#self.records + 1] = { kind, key, value }
	end
end

function disk_mt:read(path)
	local text, detail, errno = self.files.read(path, self.opts)
	if text then
		record(self, "file", path, text)
	end
	return text, detail, errno
end

function disk_mt:glob(pattern)
	local list = require "posix.glob".glob(pattern, 0) or {}
	table.sort(list)
	local packed = {}
	for i, path in ipairs(list) do
		packed[i] = string.pack("<s4", path)
	end
	record(self, "glob", pattern, table.concat(packed))
	return list
end

function disk_mt:getenv(name)
	local value = os.getenv(name)
	if value then
		record(self, "env", name, value)
	end
	return value
end

--- @return the text of a bundle with all that was read so far
function disk_mt:bundle()
	return bundle.encode(self.records)
end

--- A source that reads the disk and records.
-- @param opts as_root, uid: see core.config_file
function bundle.disk(opts)
	return setmetatable({ records = {}, seen = {}, opts = opts or {},
		files = require "core.config_file" }, disk_mt)
end

local bundle_mt <const> = {}
bundle_mt.__index = bundle_mt

function bundle_mt:read(path)
	local text = self.file[path]
	if not text then
		return nil, "no such file or directory (when the config was read)", 2
	end
	return text, {}
end

function bundle_mt:glob(pattern)
	local list, pos = {}, 1
	local packed = self.globs[pattern] or ""
	while pos <= #packed do
		list[#list + 1], pos = string.unpack("<s4", packed, pos)
	end
	return list
end

function bundle_mt:getenv(name)
	return self.env[name]
end

--- A source over a bundle.
-- @return the source; or nil and the reason
function bundle.open(text)
	local records, err, detail = bundle.decode(text)
	if not records then
		return nil, err, detail
	end
	local kinds = { file = {}, glob = {}, env = {} }
	for _, entry in ipairs(records) do
		local kind = kinds[entry[1]]
		if kind then
			kind[entry[2]] = entry[3]
		end
	end
	return setmetatable({ file = kinds.file, globs = kinds.glob, env = kinds.env }, bundle_mt)
end

return bundle
