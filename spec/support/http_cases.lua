--- Requests that are none, by RFC 9112, 9110 and 3986, and that some servers take for one or two:
-- name, bytes, status. Written from the RFCs; the classes are those of Http11Probe and of
-- CVEs against other servers.

local cases <const> = {}

local host <const> = "Host: a\r\n"
local get <const> = "GET / HTTP/1.1\r\n"
local post <const> = "POST / HTTP/1.1\r\n" .. host
local smuggled <const> = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n"

local function case(name, bytes, status)
	cases[#cases + 1] = { name = name, bytes = bytes, status = status or 400 }
end

local function header(name, line, status)
	case(name, get .. host .. line .. "\r\n\r\n", status)
end

local function body(name, lines, data, status)
	case(name, post .. lines .. "\r\n" .. data, status)
end

-- The first line
case("no version", "GET /\r\n\r\n")
case("version 0.9", "GET / HTTP/0.9\r\n\r\n")
case("version 1.2", "GET / HTTP/1.2\r\n" .. host .. "\r\n")
case("version 1.10", "GET / HTTP/1.10\r\n" .. host .. "\r\n")
case("version 2.0", "GET / HTTP/2.0\r\n" .. host .. "\r\n", 505)
case("version 3.0", "GET / HTTP/3.0\r\n" .. host .. "\r\n")
case("a lower-case version", "GET / http/1.1\r\n" .. host .. "\r\n")
case("a version without a dot", "GET / HTTP/11\r\n" .. host .. "\r\n")
case("another protocol's name", "GET / HTTPS/1.1\r\n" .. host .. "\r\n")
case("the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
case("a lower-case method", "get / HTTP/1.1\r\n" .. host .. "\r\n", 501)
case("an unknown method", "FOO / HTTP/1.1\r\n" .. host .. "\r\n", 501)
case("a method that begins as a known one", "GETS / HTTP/1.1\r\n" .. host .. "\r\n", 501)
case("a method with a colon", "GE:T / HTTP/1.1\r\n" .. host .. "\r\n")
case("no method", " / HTTP/1.1\r\n" .. host .. "\r\n")
case("two spaces before the target", "GET  / HTTP/1.1\r\n" .. host .. "\r\n")
case("two spaces before the version", "GET /  HTTP/1.1\r\n" .. host .. "\r\n")
case("a tab for a space", "GET\t/ HTTP/1.1\r\n" .. host .. "\r\n")
case("a space behind the version", "GET / HTTP/1.1 \r\n" .. host .. "\r\n")
case("a space in the target", "GET /a b HTTP/1.1\r\n" .. host .. "\r\n")
case("NUL in the target", "GET /a\0b HTTP/1.1\r\n" .. host .. "\r\n")
case("an encoded NUL in the target",
	"GET /a%00b HTTP/1.1\r\n" .. host .. "Connection: close\r\n\r\n")
case("a control character in the target", "GET /a\1b HTTP/1.1\r\n" .. host .. "\r\n")
case("a byte above 127 in the target", "GET /\xff HTTP/1.1\r\n" .. host .. "\r\n")
case("a fragment", "GET /a#b HTTP/1.1\r\n" .. host .. "\r\n")
case("a relative target", "GET a HTTP/1.1\r\n" .. host .. "\r\n")
case("a target above the root", "GET /../a HTTP/1.1\r\n" .. host .. "Connection: close\r\n\r\n")
case("a target above the root, encoded",
	"GET /%2e%2e/a HTTP/1.1\r\n" .. host .. "Connection: close\r\n\r\n")
case("an absolute target with a user",
	"GET http://u@a/ HTTP/1.1\r\n" .. host .. "Connection: close\r\n\r\n")
case("an absolute target of another scheme",
	"GET ftp://a/ HTTP/1.1\r\n" .. host .. "Connection: close\r\n\r\n")
for _, authority in ipairs { "[::1", "a:99999", "a:b", "", "a\\@b", "a b" } do
	case(("an absolute target of '%s'"):format(authority),
		"GET http://" .. authority .. "/ HTTP/1.1\r\n" .. host .. "Connection: close\r\n\r\n")
end
case("an asterisk for GET", "GET * HTTP/1.1\r\n" .. host .. "Connection: close\r\n\r\n")
case("CONNECT", "CONNECT a:80 HTTP/1.1\r\n" .. host .. "Connection: close\r\n\r\n")
case("a first line ended by LF", "GET / HTTP/1.1\n" .. host .. "\r\n")
case("a first line ended by CR", "GET / HTTP/1.1\r" .. host .. "\r\n")
case("lines ended by LF", "GET / HTTP/1.1\nHost: a\n\n")
case("CR CR LF", "GET / HTTP/1.1\r\r\n" .. host .. "\r\n")
case("more empty lines than a careless client sends", ("\r\n"):rep(20) .. get .. host .. "\r\n")
case("empty lines of LF", "\n\n" .. get .. host .. "\r\n")
case("NUL before the request", "\0" .. get .. host .. "\r\n")
case("TLS", "\22\3\1\2\0\1\0\1\252\3\3")
case("an answer", "HTTP/1.1 200 OK\r\n\r\n", 501) -- as far as "HT" it could be a method

-- Host
case("no Host", get .. "\r\n")
case("two Hosts", get .. host .. host .. "\r\n")
case("two Hosts that differ", get .. host .. "Host: b\r\n\r\n")
case("an empty Host", get .. "Host:\r\n\r\n")
case("a Host with a space", get .. "Host: a b\r\n\r\n")
case("a Host with a comma", get .. "Host: a,b\r\n\r\n")
case("a Host with a slash", get .. "Host: a/b\r\n\r\n")
case("a Host with a user", get .. "Host: u@a\r\n\r\n")
for _, value in ipairs { "a:b", "a:99999", "a:80:80", "a:-1", ":80", "[::1", "[::1]x", "[]", "[zz]",
	"::1", "a\\b", "a#b", "a?b", "a\tb" } do
	case(("a Host of %q"):format(value), get .. "Host: " .. value .. "\r\n\r\n")
end
case("a Host with a byte above 127", get .. "Host: \xc3\xa9\r\n\r\n")

-- Header lines
header("a space before the colon", "X : y")
header("a tab before the colon", "X\t: y")
header("a space before the name", " X: y")
header("a folded value", "X: y\r\n z")
header("a value folded with a tab", "X: y\r\n\tz")
header("no colon", "X")
header("no name", ": y")
header("NUL in a name", "X\0Y: z")
header("NUL in a value", "X: y\0z")
header("CR in a value", "X: y\rz")
header("CR in an empty value", "X:\rY: z")
header("LF in a value", "X: y\nTransfer-Encoding: chunked")
header("a control character in a value", "X: \1")
header("DEL in a value", "X: \127")
header("a byte above 127 in a name", "X\xe9: y")
header("a parenthesis in a name", "X(y): z")
header("a quoted name", '"X": y')
header("a space in a name", "X Y: z")
header("a bare CR in front of a name", "\rX: y")
header("a vertical tab in front of a name", "\vTransfer-Encoding: chunked")
header("a form feed in front of a name", "\fContent-Length: 5")
header("NUL behind the name of Content-Length", "Content-Length\0: 5")
header("a vertical tab behind the name of Content-Length", "Content-Length\v: 5")
header("CR behind the name of Content-Length", "Content-Length\r: 5")
header("a bare CR in front of the colon of the last line", "X: y\r\n\r: z")
header("an unknown expectation", "Expect: cookies", 417)
case("a folded first header", get .. " " .. host .. "\r\n")
case("a header line ended by LF", get .. "Host: a\nX: y\r\n\r\n")
case("a head ended by LF", get .. host .. "\n")

-- Length and transfer coding
body("Content-Length and Transfer-Encoding",
	"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" .. smuggled)
body("Transfer-Encoding and Content-Length",
	"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" .. smuggled)
body("two lengths", "Content-Length: 0\r\nContent-Length: 42\r\n", smuggled)
body("two equal lengths", "Content-Length: 0\r\nContent-Length: 0\r\n", smuggled)
for name, value in pairs {
	["a list of lengths"] = "0, 0", ["a signed length"] = "+0", ["a negative length"] = "-1",
	["a hexadecimal length"] = "0x0", ["a length with a fraction"] = "0.0",
	["an empty length"] = "", ["a length with words"] = "0 bytes", ["a length in words"] = "none",
	["a length beyond 64 bits"] = "18446744073709551616",
	["a length of forty digits"] = ("9"):rep(40), ["a length with an underscore"] = "1_0",
	["a length with digits apart"] = "0 0", ["a length behind a vertical tab"] = "\v0",
	["a length in front of a vertical tab"] = "0\v", ["a length in front of a form feed"] = "0\f",
	["a length with a comma"] = "0,", ["a length behind a comma"] = ",0",
	["a length with a semicolon"] = "0;", ["a length with an exponent"] = "0e1",
	["a length in Arabic digits"] = "\xd9\xa0", ["a length with a no-break space"] = "0\xa0",
	["a quoted length"] = '"0"', ["a folded length"] = "\r\n 0", ["a length with a comment"] = "0(x)",
	["a list of lengths over a fold"] = "0\r\n ,0",
} do
	body(name, "Content-Length: " .. value .. "\r\n", smuggled)
end
for name, value in pairs {
	["a coding that looks like chunked"] = "xchunked", ["chunked with a letter"] = "chunkedx",
	["identity"] = "identity", ["gzip"] = "gzip", ["chunked that is not the last"] = "chunked, gzip",
	["gzip and chunked"] = "gzip, chunked", ["chunked twice in a list"] = "chunked, chunked",
	["quoted chunked"] = '"chunked"', ["an empty coding"] = "",
	["chunked with a parameter"] = "chunked;q=1", ["chunked with a comma"] = "chunked,",
	["chunked behind a comma"] = ",chunked", ["chunked apart"] = "chun ked",
	["chunked with a vertical tab"] = "chunked\v", ["chunked with NUL"] = "chunked\0",
	["chunked with a no-break space"] = "chunked\xa0", ["chunked with a semicolon"] = "chunked;",
	["chunked folded"] = "\r\n chunked", ["identity and chunked"] = "identity, chunked",
	["chunked and an empty one"] = "chunked\r\nTransfer-Encoding:",
} do
	body("Transfer-Encoding: " .. name, "Transfer-Encoding: " .. value .. "\r\n",
		"0\r\n\r\n" .. smuggled, "4xx")
end
body("two lengths of different spelling", "Content-Length: 0\r\ncontent-length: 42\r\n", smuggled)
body("a length and identity", "Content-Length: 0\r\nTransfer-Encoding: identity\r\n", smuggled)
body("NUL behind the name of Transfer-Encoding", "Transfer-Encoding\0: chunked\r\n",
	"0\r\n\r\n" .. smuggled)
body("two Transfer-Encodings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
	"0\r\n\r\n" .. smuggled, "4xx")
body("two Transfer-Encodings that differ",
	"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n" .. smuggled, "4xx")
body("a vertical tab before chunked", "Transfer-Encoding: \11chunked\r\n",
	"0\r\n\r\n" .. smuggled, "4xx")
body("a space before the colon of Transfer-Encoding", "Transfer-Encoding : chunked\r\n",
	"0\r\n\r\n" .. smuggled)
case("chunks for version 1.0",
	"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" .. smuggled)

-- Chunks
for name, data in pairs {
	["a chunk size with 0x"] = "0x5\r\nhello\r\n0\r\n\r\n",
	["a signed chunk size"] = "+5\r\nhello\r\n0\r\n\r\n",
	["a negative chunk size"] = "-1\r\n\r\n0\r\n\r\n",
	["an empty chunk size"] = "\r\n0\r\n\r\n",
	["a chunk size that is no number"] = "g\r\n\r\n0\r\n\r\n",
	["a chunk size beyond 64 bits"] = "10000000000000005\r\nhello\r\n0\r\n\r\n",
	["a chunk size of all ones and more"] = "FFFFFFFFFFFFFFFFF\r\nhello",
	["a space before a chunk size"] = " 5\r\nhello\r\n0\r\n\r\n",
	["an underscore in a chunk size"] = "1_0\r\nhello\r\n0\r\n\r\n",
	["a chunk longer than its size"] = "4\r\nhello\r\n0\r\n\r\n",
	["a chunk shorter than its size"] = "6\r\nhello\r\n0\r\n\r\n",
	["a space behind a chunk size"] = "5 \r\nhello\r\n0\r\n\r\n",
	["a tab behind a chunk size"] = "5\t\r\nhello\r\n0\r\n\r\n",
	["a vertical tab behind a chunk size"] = "5\v\r\nhello\r\n0\r\n\r\n",
	["a comma behind a chunk size"] = "5,\r\nhello\r\n0\r\n\r\n",
	["a chunk size in Arabic digits"] = "\xd9\xa5\r\nhello\r\n0\r\n\r\n",
	["CR CR LF behind a chunk size"] = "5\r\r\nhello\r\n0\r\n\r\n",
	["CR CR LF behind a chunk"] = "5\r\nhello\r\r\n0\r\n\r\n",
	["no line end behind a chunk"] = "5\r\nhello0\r\n\r\n",
	["a quoted extension that goes over the line"] = '5;a="b\r\nhello\r\n0\r\n\r\n',
	["a control character in a chunk extension"] = "5;\1\r\nhello\r\n0\r\n\r\n",
	["CR without LF behind the last chunk"] = "5\r\nhello\r\n0\r\n\rX",
	["a Transfer-Encoding among the trailers"] = "0\r\nTransfer-Encoding: x\r\n\r\n",
	["a chunk size of zeros without an end"] = ("0"):rep(40000),
	["a chunk size of forty thousand zeros"] = ("0"):rep(40000) .. "5\r\nhello\r\n0\r\n\r\n",
	["a chunk size with a next-line character"] = "5\x85\r\nhello\r\n0\r\n\r\n",
	["a quoted chunk size"] = '"5"\r\nhello\r\n0\r\n\r\n',
	["a chunk size with an h"] = "5h\r\nhello\r\n0\r\n\r\n",
	["a fold behind a chunk size"] = "5\r\n ;a\r\nhello\r\n0\r\n\r\n",
	["a chunk without its size"] = "hello\r\n0\r\n\r\n",
	["a chunk extension without a name"] = "5;\r\nhello\r\n0\r\n\r\n",
	["a chunk size ended by LF"] = "5\nhello\r\n0\r\n\r\n",
	["a chunk ended by LF"] = "5\r\nhello\n0\r\n\r\n",
	["a chunk ended by CR"] = "5\r\nhello\r0\r\n\r\n",
	["LF in a chunk extension"] = "5;a\nb\r\nhello\r\n0\r\n\r\n",
	["CR in a chunk extension"] = "5;a\rb\r\nhello\r\n0\r\n\r\n",
	["NUL in a chunk extension"] = "5;a\0b\r\nhello\r\n0\r\n\r\n",
	["a last chunk ended by LF"] = "5\r\nhello\r\n0\n\n",
	["a trailer without a name"] = "0\r\n: x\r\n\r\n",
	["a trailer with a space before the colon"] = "0\r\nX : y\r\n\r\n",
	["a folded trailer"] = "0\r\nX: y\r\n z\r\n\r\n",
	["a trailer line ended by LF"] = "0\r\nX: y\n\r\n",
	["NUL in a trailer"] = "0\r\nX: \0\r\n\r\n",
	["trailers ended by LF"] = "0\r\nX: y\r\n\n",
	["a chunk extension without an end"] = "5;" .. ("a"):rep(40000),
} do
	body(name, "Transfer-Encoding: chunked\r\n", data .. smuggled)
end

-- Sizes
body("trailers without an end", "Transfer-Encoding: chunked\r\n",
	"0\r\n" .. ("X: y\r\n"):rep(8000), 431)
case("a first line that is too long",
	"GET /" .. ("a"):rep(9000) .. " HTTP/1.1\r\n" .. host .. "\r\n", 414)
case("a first line without an end", "GET /" .. ("a"):rep(9000), 414)
header("a header that is too long", "X: " .. ("y"):rep(33000), 431)
case("a header without an end", get .. host .. "X: " .. ("y"):rep(33000), 431)
header("a name that is too long", ("x"):rep(33000) .. ": y", 431)
header("too many headers", ("X: y\r\n"):rep(64) .. "X: y", 431)
header("spaces without an end", "X:" .. (" "):rep(33000) .. "y", 431)
body("a length above the limit", "Content-Length: 99999999\r\n", "x", 413)
body("the greatest length", "Content-Length: 18446744073709551615\r\n", "x", 413)

-- In no order of a hash: names are unique, runs are comparable.
table.sort(cases, function (a, b) return a.name < b.name end)
return cases
