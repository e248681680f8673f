--- What is left of `gadwall run` for Lua: C runs the host (host/main.c), this prints its config.

return function (ctx)
	if ctx.opts.print_config then
		return require "cli.check"(ctx)
	end
	return ctx.ui:fail(70, "run: the host is started by the program itself, not from here")
end
