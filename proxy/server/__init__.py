"""The proxy itself: the only rooms that know aiohttp and asyncio."""
