--- Certificates in a folder: found by file name, else by the names that they are for.
-- Names tried for NAME, as Prosody does: NAME.crt with NAME.key, NAME.pem, NAME/fullchain.pem with
-- NAME/privkey.pem, and what stands in live/NAME/.

local cert_files <const> = {}

local tries <const> = {
	{ "%s.crt", "%s.key" }, { "%s/fullchain.pem", "%s/privkey.pem" },
	{ "live/%s/fullchain.pem", "live/%s/privkey.pem" }, { "%s.pem", "%s.key" },
	{ "%s.pem", "%s.pem" }, { "", "" },
}

local deepest <const> = 3

local function kind(path)
	local found <const> = require "host.sys".stat(path)
	return found and found.type
end

--- The key's path by habit, for a certificate's path.
function cert_files.key_of(certificate)
	return (certificate:gsub("%.crt$", ".key"):gsub("fullchain%.pem$", "privkey.pem"))
end

--- A certificate with its key for a name.
-- @param folder where to look; the path of a certificate is as good
-- @return { certificate, key }; or nil
function cert_files.find(folder, name)
	for _, try in ipairs(tries) do
		local function path(pattern)
			if pattern == "" then
				return folder
			end
			return folder:gsub("/+$", "") .. "/" .. pattern:gsub("%%s", (name:gsub("%%", "%%%%")))
		end
		local certificate, key = path(try[1]), path(try[2])
		if try[1] == "" then
			key = cert_files.key_of(certificate)
		end
		if kind(certificate) == "file" and kind(key) == "file" then
			return { certificate = certificate, key = key }
		end
	end
end

local function read(path)
	local file <close> = io.open(path, "rb")
	return file and file:read(1 << 20)
end

-- The host names that a certificate is for.
local function names_of(cert)
	local names <const> = {}
	local alternative <const> = cert:extensions()["2.5.29.17"]
	for _, name in ipairs(alternative and alternative.dNSName or {}) do
		names[#names + 1] = name:lower()
	end
	for _, part in ipairs(alternative and {} or cert:subject()) do
		if part.name == "commonName" then
			names[#names + 1] = part.value:lower()
		end
	end
	return names
end

local function add(index, path)
	local text <const> = read(path)
	local cert <const> = text and text:find("-----BEGIN CERT", 1, true)
		and require "host.tls".load_certificate(text)
	local key <const> = cert_files.key_of(path)
	if not cert or not cert:validat(os.time()) or kind(key) ~= "file" then
		return
	end
	for _, name in ipairs(names_of(cert)) do
		index[name] = index[name] or { certificate = path, key = key }
	end
end

--- All certificates of a folder by the names that they are for; those out of date are left out.
-- @return table: name (also "*.example.org") to { certificate, key }
function cert_files.index(folder, index, depth)
	index, depth = index or {}, depth or 1
	local entries <const> = require "posix.dirent".dir(folder)
	table.sort(entries)
	for _, name in ipairs(entries) do
		local path = folder:gsub("/+$", "") .. "/" .. name
		local what <const> = name:sub(1, 1) ~= "." and kind(path)
		if what == "directory" and depth < deepest then
			cert_files.index(path, index, depth + 1)
		elseif what == "file" and (name:find("%.crt$") or name:find("fullchain%.pem$")) then
			add(index, path)
		end
	end
	return index
end

--- The certificate of an index for a name, its own or a wildcard's.
function cert_files.lookup(index, name)
	name = name:lower()
	return index[name] or index[(name:gsub("^[^.]+", "*"))]
end

--- Whether there is such a folder.
function cert_files.is_folder(path)
	return kind(path) == "directory"
end

return cert_files
