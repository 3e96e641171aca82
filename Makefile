# `make sandbox`, `make test` and `make bench` need nothing but Rust, Node.js and a C compiler beforehand.

.PHONY: abi

# The stamp is newer than the lock file exactly when what the lock file names is installed.
anvil/node_modules/.stamp: anvil/package.json anvil/package-lock.json anvil/.npmrc
	npm ci --prefix anvil --no-fund --no-audit
	touch $@

# Recompile contracts/ into abi/.
abi: anvil/node_modules/.stamp
	node anvil/compile.mjs
