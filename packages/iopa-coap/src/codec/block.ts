/** The value of a Block1 or Block2 option (RFC 7959 section 2.2). */
export interface Block {
  /** Number of the block, in units of its own size. */
  readonly num: number
  /** True when more blocks follow. */
  readonly more: boolean
  /** Size exponent: 0 to 6 for 16 to 1024 bytes; 7 is BERT over reliable transports (RFC 8323 section 6). */
  readonly szx: number
}

/** The exponent that is reserved on datagrams and means BERT on streams. */
export const BERT = 7
/** The largest exponent of a datagram: 1024 bytes. */
export const MAX_SZX = 6

/** Reads the integer of a block option. */
export const readBlock = (value: number): Block => ({ num: value >>> 4, more: (value & 8) !== 0, szx: value & 7 })

/** The integer of a block option. */
export const blockValue = (num: number, more: boolean, szx: number): number => (num << 4) | (more ? 8 : 0) | szx

/** Bytes of one block; BERT counts in blocks of 1024. */
export const blockSize = (szx: number): number => (szx === BERT ? 1024 : 16 << szx)

/** True when the payload of a block may have so many bytes: whole blocks while more follow, at the end no more than one, with BERT any number of them. */
export const fitsBlock = ({ more, szx }: Block, length: number): boolean => {
  const size = blockSize(szx)
  if (szx === BERT) return !more || (length > 0 && length % size === 0)
  return more ? length === size : length <= size
}

/** The largest exponent whose blocks are no longer than `bytes`, at least 0. */
export const szxFor = (bytes: number): number => {
  let szx = MAX_SZX
  while (szx > 0 && blockSize(szx) > bytes) szx--
  return szx
}
