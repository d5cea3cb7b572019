"""Reading bincode, the encoding of the runtime's own instructions and states."""

from zmart_lite.localnet.runtime import InstructionFailed


class BincodeReader:
    """Reads bincode, the encoding of System instructions. Raises ``InvalidInstructionData`` where bytes are missing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def take(self, size: int) -> bytes:
        chunk = self._data[self._offset : self._offset + size]
        if len(chunk) != size:
            raise InstructionFailed("InvalidInstructionData")
        self._offset += size
        return chunk

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def text(self) -> bytes:
        raw = self.take(min(self.u64(), len(self._data) + 1))
        try:
            raw.decode()
        except UnicodeDecodeError:
            raise InstructionFailed("InvalidInstructionData") from None
        return raw
