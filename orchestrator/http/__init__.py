"""The one HTTP client: the site's trust and proxies, patience with limits, every failure an error of ours."""
