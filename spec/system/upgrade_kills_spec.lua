-- Either side or the keeper killed or stopped in every state of an upgrade, under connects:
-- nobody is refused, the old or the new one serves, the next upgrade
-- works, and the keeper has the descriptors that it had. The table: support/upgrade_matrix.lua.
local matrix <const> = require "spec.support.upgrade_matrix"
local upgrade <const> = require "spec.support.upgrade"

local some <const>, seed <const> = matrix.sample(2)

describe(("an upgrade (GADWALL_SEED=%d) in which a"):format(seed), function ()
	after_each(upgrade.finish)

	for number, case in ipairs(some) do
		it(("process is hurt refuses nobody: %d of %d"):format(number, #some), function ()
			local ok, err = pcall(matrix.run, case)
			if not ok then error(("%s, GADWALL_SEED=%d: %s"):format(case.name, seed, tostring(err))) end
		end)
	end
end)

describe("#soak an upgrade that meets", function ()
	after_each(upgrade.finish)

	for _, case in ipairs(matrix.cases()) do
		it(case.name .. " refuses nobody", function () matrix.run(case) end)
	end
end)
