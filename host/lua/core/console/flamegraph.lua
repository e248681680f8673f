--- Stacks with counts as text: folded, one a line, and as a flame graph in SVG.
--
-- A stack is "outermost;…;innermost". The graph has the outermost at the bottom; the width of a
-- box is the share of the samples in which it was on the stack. Pure: nothing here asks the host.

local flamegraph <const> = {}

local width <const>, row <const>, margin <const>, header <const> = 1200, 16, 10, 30
local letter <const> = 6.2 -- width of a letter at 11 px, about
local least <const> = 0.3 -- boxes narrower than this (px) are left out

local function sorted_keys(t)
	local keys <const> = {}
	for key in pairs(t) do
		keys[#keys + 1] = key
	end
	table.sort(keys)
	return keys
end

--- The form that flame graph tools read: "a;b;c COUNT", sorted.
-- @param stacks stack → count
function flamegraph.folded(stacks)
	local lines <const> = {}
	for i, stack in ipairs(sorted_keys(stacks)) do
		lines[i] = ("%s %d\n"):format(stack, stacks[stack])
	end
	return table.concat(lines)
end

local function add(root, stack, count)
	local node = root
	node.count = node.count + count
	for name in stack:gmatch("[^;]+") do
		node.below[name] = node.below[name] or { count = 0, below = {} }
		node = node.below[name]
		node.count = node.count + count
	end
end

local function depth_of(node)
	local deepest = 0
	for _, child in pairs(node.below) do
		deepest = math.max(deepest, depth_of(child))
	end
	return deepest + 1
end

local entities <const> = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function escape(text)
	return (text:gsub('[&<>"]', entities))
end

-- C functions are blue, Lua warm; the same name has the same shade everywhere.
local function colour(name)
	local sum = 0
	for i = 1, #name do
		sum = (sum * 31 + name:byte(i)) % 997
	end
	local shade <const> = sum % 50
	if name:find("^%[C%]") or name:find("^%(") then
		return ("rgb(%d,%d,230)"):format(120 + shade, 160 + shade)
	end
	return ("rgb(%d,%d,%d)"):format(205 + shade, 90 + sum % 110, 40 + shade // 2)
end

local function box(out, name, node, x, y, scale, total)
	local w <const> = node.count * scale
	local room <const> = math.floor((w - 6) / letter)
	local shown <const> = #name <= room and name or room > 3 and name:sub(1, room - 2) .. ".." or ""
	out[#out + 1] = ('<g><title>%s: %d samples, %.2f %%</title><rect x="%.1f" y="%d" width="%.1f" '
		.. 'height="%d" fill="%s" rx="1"/><text x="%.1f" y="%d">%s</text></g>'):format(escape(name),
		node.count, 100 * node.count / total, x, y, math.max(w - 0.3, 0.2), row - 1, colour(name),
		x + 3, y + row - 5, escape(shown))
end

local function draw(out, node, x, y, scale, total)
	for _, name in ipairs(sorted_keys(node.below)) do
		local child <const> = node.below[name]
		if child.count * scale >= least then
			box(out, name, child, x, y, scale, total)
			draw(out, child, x, y - row, scale, total)
		end
		x = x + child.count * scale
	end
end

--- A flame graph.
-- @param stacks stack → count
-- @param title one line
-- @return text of an SVG file
function flamegraph.svg(stacks, title)
	local root <const> = { count = 0, below = {} }
	for stack, count in pairs(stacks) do
		add(root, stack, count)
	end
	local height <const> = header + depth_of(root) * row + margin
	local out <const> = { ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
		.. 'viewBox="0 0 %d %d" font-family="monospace" font-size="11">'):format(width, height, width,
		height), '<rect width="100%" height="100%" fill="#fff"/>',
		('<text x="%d" y="20" font-size="14">%s</text>'):format(margin, escape(title)) }
	local total <const> = math.max(root.count, 1)
	local scale <const> = (width - 2 * margin) / total
	local bottom <const> = height - margin - row
	box(out, "all", { count = total }, margin, bottom, scale, total)
	draw(out, root, margin, bottom - row, scale, total)
	out[#out + 1] = "</svg>\n"
	return table.concat(out, "\n")
end

--- The innermost functions with the most samples.
-- @param stacks stack → count
-- @param most how many
-- @return list of { name, count }, most first
function flamegraph.top(stacks, most)
	local own <const>, list <const> = {}, {}
	for stack, count in pairs(stacks) do
		local name <const> = stack:match("[^;]*$")
		own[name] = (own[name] or 0) + count
	end
	for name, count in pairs(own) do
		list[#list + 1] = { name = name, count = count }
	end
	table.sort(list, function (a, b)
		return a.count > b.count or a.count == b.count and a.name < b.name
	end)
	return table.move(list, 1, math.min(most, #list), 1, {})
end

return flamegraph
