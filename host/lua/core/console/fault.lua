--- A fault of the person who typed: shown as it is, exit 2, and nothing for the log.

local fault <const> = {}

local mt <const> = { __tostring = function (self) return self.text end }

--- Ends the command. @param text format of the message
function fault.raise(text, ...)
	error(setmetatable({ text = text:format(...) }, mt), 0)
end

--- @return whether an error value came from raise()
function fault.is(value)
	return type(value) == "table" and getmetatable(value) == mt
end

return fault
