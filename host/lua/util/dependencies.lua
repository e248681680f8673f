-- API of Prosody's util.dependencies. What the host needs is linked into it or checked by deps.sh,
-- so there is nothing to check at start.

--- @return the library; or nil and why not
local function softreq(name)
	local ok, library = pcall(require, name)
	if ok then return library end
	return nil, library
end

return {
	softreq = softreq,
	missingdep = function (name, _, message)
		print(message or ("%s is missing"):format(name))
	end,
	check_dependencies = function () return true end,
	log_warnings = function () end,
}
