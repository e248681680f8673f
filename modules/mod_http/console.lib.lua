-- `http list`: the apps and where they can be reached.

local console <const> = {}

local served <const> = {} -- item → mod_http on its host

--- An app is served from here on, or (of is nil) no more.
-- @param item of module:provides("http")
-- @param of mod_http on the app's host
function console.note(item, of)
	served[item] = of
end

local function rows(host)
	local list <const> = {}
	for item, of in pairs(served) do
		if not host or of.host == host then
			list[#list + 1] = { app = item.name, module = item._provided_by or of.name, host = of.host,
				url = of:http_url(item.name, item.default_path) }
		end
	end
	table.sort(list, function (a, b)
		if a.host ~= b.host then
			return a.host < b.host
		end
		return a.url == b.url and a.app < b.app or a.url < b.url
	end)
	return list
end

module:add_item("shell-command", {
	section = "http", section_desc = "HTTP: apps and their addresses", name = "list",
	desc = "apps and their addresses", args = { { name = "host", type = "host", optional = true } },
	handler = function (self, host)
		local list <const> = rows(host)
		for _, row in ipairs(list) do
			self.session.print(("%-20s %-16s %-16s %s"):format(row.app, row.module, row.host, row.url))
		end
		return true, ("%d app%s"):format(#list, #list == 1 and "" or "s"), list
	end,
})

return console
