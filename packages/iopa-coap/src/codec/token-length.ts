/** Bytes of the longest token that a message can have (RFC 8974 section 2.1). */
export const LONGEST_TOKEN = 65_804

/** Bytes of the longest token that every peer takes (RFC 7252 section 3). */
export const USUAL_TOKEN = 8

/** The four bits of the header that say how long a token is: up to 12 bytes by themselves, beyond that together with one or two bytes before the token. */
export const tokenNibble = (length: number): number => (length < 13 ? length : length < 269 ? 13 : 14)

/** Where a token starts whose length, or the byte of the header that ends with it, is `head`; `header` is where the header ends. */
export const tokenStartAt = (head: number, header: number): number => {
  const nibble = head & 15
  return nibble < 13 ? header : header + nibble - 12
}

/** Where the token ends that starts at `start`; Infinity where its length is not there, or is the reserved one. */
export const tokenEndAt = (bytes: Uint8Array, head: number, start: number): number => {
  const nibble = head & 15
  if (nibble < 13) return start + nibble
  if (nibble === 15 || start > bytes.length) return Number.POSITIVE_INFINITY
  return nibble === 13 ? start + 13 + bytes[start - 1]! : start + 269 + ((bytes[start - 2]! << 8) | bytes[start - 1]!)
}

/** Writes what the header does not say of the length of a token that starts at `start`. */
export const writeTokenExtension = (bytes: Uint8Array, start: number, length: number): void => {
  if (length < 13) return
  if (length < 269) bytes[start - 1] = length - 13
  else {
    bytes[start - 2] = (length - 269) >> 8
    bytes[start - 1] = (length - 269) & 255
  }
}
