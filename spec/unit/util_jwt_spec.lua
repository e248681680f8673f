local jwt <const> = require "util.jwt"

describe("util.jwt", function ()
	-- RFC 7515 A.1, with its key.
	local rfc_key = "\3\35\53\75\43\15\165\188\131\126\6\101\119\123\166\143\90\179\40\230\240\84\201"
		.. "\40\169\15\132\178\210\80\46\191\211\251\90\146\210\6\71\239\150\138\180\195\119\98\61\34"
		.. "\61\46\33\114\5\46\79\8\192\205\154\245\103\208\128\163"
	local rfc_token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
		.. "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
		.. "cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

	it("verifies the token of RFC 7515 A.1, which has expired", function ()
		local ok, payload = jwt.verify(rfc_key, rfc_token)
		assert.is_true(ok)
		assert.equal("joe", payload.iss)
		assert.same({ nil, "token-expired" },
			{ jwt.new_verifier("HS256", rfc_key)(rfc_token) })
	end)

	for _, algorithm in ipairs { "HS256", "HS384", "HS512" } do
		it("signs and verifies with " .. algorithm, function ()
			local sign, verify = jwt.init(algorithm, "key")
			local ok, payload = verify(sign { who = "me" })
			assert.is_true(ok)
			assert.equal("me", payload.who)
			assert.is_true(payload.exp - payload.iat == 3600)
			assert.same({ false, "signature-mismatch" },
				{ jwt.new_verifier(algorithm, "other")(sign { who = "me" }) })
		end)
	end

	it("refuses other algorithms, none among them", function ()
		assert.has_error(function () jwt.new_signer("none", "key") end)
		local token = jwt.new_signer("HS512", "key") {}
		assert.same({ nil, "unsupported-algorithm" }, { jwt.new_verifier("HS256", "key")(token) })
		-- {"alg":"none"}.{}.
		assert.same({ nil, "invalid-encoding" }, { jwt.verify("key", "eyJhbGciOiJub25lIn0.e30.") })
		assert.same({ nil, "unsupported-algorithm" },
			{ jwt.verify("key", "eyJhbGciOiJub25lIn0.e30.AA") })
	end)

	for _, token in ipairs { "", "a", "a.b", "a.b.c", "....", "!.!.!", ("x"):rep(9999) } do
		it(("refuses %q"):format(token:sub(1, 9)), function ()
			assert.is_nil((jwt.verify("key", token)))
		end)
	end

	it("asks for claims", function ()
		local verify = jwt.new_verifier("HS256", "key",
			{ claim_verifier = function (claims) return claims.aud == "me" end })
		assert.same({ nil, "incorrect-claims" }, { verify(jwt.sign("key", { aud = "you" })) })
		assert.is_true((verify(jwt.sign("key", { aud = "me" }))))
		assert.same({ nil, "invalid-expiry" }, { verify(jwt.sign("key", { exp = "soon" })) })
	end)
end)
