local published <const> = require "spec.support.published"

local program <const> = os.getenv "GADWALL" or "build/test/gadwall"

describe("Prosody's published spec", function ()
	if not published.folder() then
		pending("needs the specs of Prosody's source (contrib/deps.sh peers)")
		return
	end

	for _, one in ipairs(published.list) do
		it(("of %s holds here"):format(one.label or one.name), function ()
			local result = published.run(one, program)
			assert.is_true(result.ended, result.text)
			local unexpected, expected = {}, 0
			for _, name in ipairs(result.failed) do
				if one.differs and one.differs[name] then
					expected = expected + 1
				else
					unexpected[#unexpected + 1] = name
				end
			end
			assert.same({}, unexpected, result.text)
			local listed = 0
			for _ in pairs(one.differs or {}) do listed = listed + 1 end
			assert.equal(listed, expected, "what is said to differ passes")
			assert.equal(not one.outside, result.passed > 0)
		end)
	end
end)
