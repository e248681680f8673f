--- Who had the right to run singletons and died with it, in the file `singletons` of the runtime
-- folder: what a singleton does may end its process (a crash in C, a memory limit), and must not
-- end one worker after the other. Only who has the lock RUNTIME/active writes it.
--
--	held | free LF, and the times of the deaths (monotonic seconds), one a line

local log <const> = require "util.logger".init("singletons")
local places <const> = require "core.places"
local time <const> = require "util.time"

local right_record <const> = {}

local NAME <const> = "/singletons"
-- So many deaths in so many seconds are too many.
local most <const>, window <const> = 3, 300
local size_max <const> = 1024

local function path()
	local folder <const> = prosody.paths and prosody.paths.user_runtime
	return folder and folder .. NAME
end

-- Times of the deaths that count, and whether the last holder has not let go.
local function read()
	local list <const>, now <const> = {}, time.monotonic()
	local file <const> = path() and io.open(path())
	if not file then
		return list, false
	end
	local text <const> = file:read(size_max) or ""
	file:close()
	for line in text:gmatch("[^\n]+") do
		local at <const> = tonumber(line)
		if at and at <= now and at > now - window then
			list[#list + 1] = at
		end
	end
	return list, text:find("^held\n") ~= nil
end

local function write(word, list)
	local lines <const> = { word }
	for i = math.max(1, #list - most + 1), #list do
		lines[#lines + 1] = ("%.3f"):format(list[i])
	end
	local name <const> = path()
	local ok, err = true, nil
	if name then
		ok, err = places.replace(name, table.concat(lines, "\n") .. "\n", prosody.worker or 1)
	end
	if not ok then
		log("warn", "who runs the singletons is not noted: %s", tostring(err))
	end
end

--- Whether too many have died with the right; asked by who has not got it.
function right_record.is_dangerous()
	local list <const>, held <const> = read()
	return #list + (held and 1 or 0) >= most
end

--- This worker has the right now, having the lock.
function right_record.taken()
	local list <const>, held <const> = read()
	if held then -- and it has the lock no more
		list[#list + 1] = time.monotonic()
	end
	write("held", list)
end

--- It lets go, in order; called while it has the lock.
function right_record.released()
	write("free", (read()))
end

--- A host that starts has no past.
function right_record.forget()
	if path() then
		os.remove(path())
	end
end

return right_record
