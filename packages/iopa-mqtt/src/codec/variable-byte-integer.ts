/** Bytes that a value from 0 to 268,435,455 takes, the most that four bytes of seven bits can hold (MQTT 5 section 1.5.5). */
export const variableByteIntegerSize = (value: number): number => (value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4)

/** Writes the value and returns the position behind it. */
export function writeVariableByteInteger(target: Uint8Array, at: number, value: number): number {
  let rest = value
  while (rest > 127) {
    target[at++] = (rest & 127) | 128
    rest >>>= 7
  }
  target[at++] = rest
  return at
}
