import importlib.util as u, pathlib, py_compile as c, sys; \
      [c.compile(str(p), quiet=2, invalidation_mode=c.PycInvalidationMode.UNCHECKED_HASH) \
      for p in sorted(pathlib.Path(sys.argv[1]).rglob("*.py")) if not pathlib.Path(u.cache_from_source(str(p))).exists()]