import { type BagSeq, decodeBagSeq, IopaError } from '@iopa/transport'

// Servers write the seq last: nothing within a body ends like this.
const LAST_SEQ = /"iopa\.Seq":(\d{1,16})\}\r?$/
const LONGEST_SEQ = 64

/** The seq at the end of a line, of which the rest may be anything. */
export const lastSeq = (line: Uint8Array): number | undefined => {
  const seq = LAST_SEQ.exec(Buffer.from(line.subarray(-LONGEST_SEQ)).toString('latin1'))?.[1]
  return seq === undefined ? undefined : Number(seq)
}

/** Whose answer a line is that cannot be read. @throws what decoding throws, for a line that is no bag at all: then the peer speaks another protocol. */
export const seqOf = (line: Uint8Array): BagSeq | undefined => {
  try {
    return decodeBagSeq(line)
  } catch (error) {
    const seq = lastSeq(line)
    if (seq === undefined) throw error
    return seq
  }
}

/** For an answer over the limit, which was skipped. */
export const tooLarge = (): IopaError => new IopaError(502, 'received-too-large', 'The answer is longer than this client reads.')
