local base64 <const> = require "util.encodings".base64
local jwt <const> = require "util.jwt"
local process <const> = require "spec.support.process"

local function base64url(data)
	return (base64.encode(data):gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" }))
end

local function openssl(...)
	local code, _, err = process.run { argv = { "openssl", ... }, timeout = 60 }
	assert(code == 0, err)
end

-- An ECDSA signature as a token has it, from the DER of openssl: SEQUENCE of two INTEGER.
local function from_der(der, width)
	local at = der:byte(2) > 128 and 4 or 3
	local numbers = {}
	for i = 1, 2 do
		local n = der:byte(at + 1)
		local bytes = der:sub(at + 2, at + 1 + n):gsub("^%z+", "")
		numbers[i], at = ("\0"):rep(width - #bytes) .. bytes, at + 2 + n
	end
	return numbers[1] .. numbers[2]
end

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

	describe("with keys of the openssl program", function ()
		local dir
		local keys <const> = {}
		local curves <const> = { ["256"] = "P-256", ["384"] = "P-384", ["512"] = "P-521" }
		local widths <const> = { ["256"] = 32, ["384"] = 48, ["512"] = 66 }

		local function make(name, ...)
			openssl("genpkey", "-out", dir .. "/" .. name, ...)
			openssl("pkey", "-in", dir .. "/" .. name, "-pubout", "-out", dir .. "/" .. name .. ".pub")
			keys[name] = { private = process.read_file(dir .. "/" .. name),
				public = process.read_file(dir .. "/" .. name .. ".pub"), path = dir .. "/" .. name }
		end

		setup(function ()
			dir = process.temp_dir()
			for _, name in ipairs { "rsa", "other" } do
				make(name, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
			end
			for bits, curve in pairs(curves) do
				make("ec" .. bits, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:" .. curve)
			end
			make("ed", "-algorithm", "ED25519")
		end)
		teardown(function () process.remove_tree(dir) end)

		-- A token signed by the openssl program.
		local function theirs(family, bits, key, claims)
			local signed = base64url(('{"typ":"JWT",\r\n "alg":"%s%s"}'):format(family, bits)) .. "."
				.. base64url(claims)
			process.write_file(dir .. "/text", signed)
			local argv = { "dgst", "-sha" .. bits, "-sign", key.path, "-out", dir .. "/sig" }
			if family == "PS" then
				table.move({ "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest" }, 1, 4,
					#argv + 1, argv)
			end
			argv[#argv + 1] = dir .. "/text"
			openssl(table.unpack(argv))
			local signature = process.read_file(dir .. "/sig")
			if family == "ES" then signature = from_der(signature, widths[bits]) end
			return signed .. "." .. base64url(signature)
		end

		for family, name in pairs { RS = "rsa", PS = "rsa", ES = "ec" } do
			for _, bits in ipairs { "256", "384", "512" } do
				local algorithm <const> = family .. bits
				it("verifies and signs " .. algorithm, function ()
					local key = keys[family == "ES" and name .. bits or name]
					local verify = jwt.new_verifier(algorithm, key.public)
					local token = theirs(family, bits, key, '{"iss":"openssl"}')
					assert.same({ true, { iss = "openssl" } }, { verify(token) })
					local sign = jwt.new_signer(algorithm, key.private, { default_ttl = 5 })
					local ok, payload = verify(sign { who = "me" })
					assert.is_true(ok)
					assert.equal("me", payload.who)
					assert.equal(5, payload.exp - payload.iat)
					local claims = token:match "%.(.-)%."
					local forged = token:gsub("%." .. claims:gsub("%-", "%%-"), "."
						.. base64url('{"iss":"mallory"}'))
					assert.same({ false, "signature-mismatch" }, { verify(forged) })
					assert.same({ false, "signature-mismatch" }, { verify(token .. "AA") })
				end)
			end
		end

		it("refuses the signature of another key, and a token of another algorithm", function ()
			local token = theirs("RS", "256", keys.rsa, "{}")
			assert.same({ false, "signature-mismatch" },
				{ jwt.new_verifier("RS256", keys.other.public)(token) })
			assert.same({ nil, "unsupported-algorithm" },
				{ jwt.new_verifier("PS256", keys.rsa.public)(token) })
			-- The public key as a secret of HS256: the oldest trick.
			local trick = jwt.sign(keys.rsa.public, {})
			assert.same({ nil, "unsupported-algorithm" },
				{ jwt.new_verifier("RS256", keys.rsa.public)(trick) })
		end)

		it("refuses keys that do not fit the algorithm when they are loaded", function ()
			assert.error_matches(function () jwt.new_signer("RS256", keys.ec256.private) end,
				"incorrect key type")
			assert.error_matches(function () jwt.new_verifier("ES256", keys.ed.public) end,
				"incorrect key type")
			assert.error_matches(function () jwt.new_verifier("ES256", keys.ec384.public) end,
				"incorrect key type")
			assert.error_matches(function () jwt.new_signer("ES256", keys.ec256.public) end,
				"not a private key")
			assert.has_error(function () jwt.new_signer("HS256", {}) end)
		end)

		it("says which payload is none", function ()
			local verify = jwt.new_verifier("RS256", keys.rsa.public)
			assert.same({ nil, "invalid-payload-type" }, { verify(theirs("RS", "256", keys.rsa, "7")) })
			assert.same({ nil, "json-decode-error" }, { verify(theirs("RS", "256", keys.rsa, "{")) })
		end)
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
