-- Loaded by busted before every spec file (see .busted).

-- /usr/bin/busted runs on whatever `lua` is, often 5.1: end that whole class of confusion at once.
assert(_VERSION == "Lua 5.4", "run as: lua5.4 \"$(command -v busted)\" FILE, or: make test")

local paths <const> = {
	"./?.lua", "./host/lua/?.lua", "./.deps/share/lua/5.4/?.lua", "./.deps/share/lua/5.4/?/init.lua",
}

local function append_missing(list, additions)
	for _, path in ipairs(additions) do
		if not (";" .. list .. ";"):find(";" .. path .. ";", 1, true) then
			list = list .. ";" .. path
		end
	end
	return list
end

package.path = append_missing(package.path, paths)
package.cpath = append_missing(package.cpath, { "./.deps/lib/lua/5.4/?.so" })

return true
