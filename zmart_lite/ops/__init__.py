"""What the parts share to be operated: metrics, circuit breakers, the chain's clock, health, background tasks.

Plain objects without global state, handed to whoever needs them by the composition root.
"""

from zmart_lite.ops.breaker import BREAKERS, Breakers, BreakerView, CircuitBreaker, SavedBreaker
from zmart_lite.ops.clock import ChainClock
from zmart_lite.ops.health import SERVICES, UNWELL, Health, ServiceHealth
from zmart_lite.ops.metrics import Metrics
from zmart_lite.ops.tasks import Background

__all__ = [
    "BREAKERS",
    "SERVICES",
    "UNWELL",
    "Background",
    "BreakerView",
    "Breakers",
    "ChainClock",
    "CircuitBreaker",
    "Health",
    "Metrics",
    "SavedBreaker",
    "ServiceHealth",
]
