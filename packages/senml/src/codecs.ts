import { type Codec, decodeText, parseJson } from '@iopa/constants'
import { checkOptions, markFactory, optionError } from '@iopa/transport'
import { decodePack, encodePack } from './cbor-pack.ts'
import { isPack, MOST_RECORDS, ownPack, parsePack } from './pack.ts'

/** Options of `senml()`. */
export interface SenmlOptions {
  /** Most records of a pack that is read; 10,000 unless given. A pack with more is refused with 413. */
  readonly records?: number
}

const OPTIONS: Record<keyof SenmlOptions, true> = { records: true }

/** Bytes of memory that a byte of a pack may become: a record is an object of some hundred bytes. */
const CBOR_GROWTH = 32

/**
 * The codecs of `application/senml+json` (Content-Format 110) and `application/senml+cbor` (112), for `new App({ codecs: senml() })`. Both read and write
 * the pack as it is in JSON. A pack that an app answers without a content type is sent in the one that Accept prefers, JSON if nothing is said.
 *
 * Decoding throws the errors of `parsePack`. Encoding throws a TypeError for what is not a pack.
 */
export const senml = (options: SenmlOptions = {}): readonly Codec[] => {
  checkOptions('senml()', options, OPTIONS, senml)
  const { records = MOST_RECORDS } = options
  if (!Number.isInteger(records) || records < 1) throw optionError(`records of senml() is a whole number above 0, not ${String(records)}.`)
  return [
    {
      mediaType: 'application/senml+json',
      contentFormat: 110,
      takes: isPack,
      encode: value => JSON.stringify(ownPack(value)),
      decode: bytes => parsePack(parseJson(decodeText(bytes)), records)
    },
    {
      mediaType: 'application/senml+cbor',
      contentFormat: 112,
      takes: isPack,
      encode: value => encodePack(ownPack(value)),
      decode: bytes => parsePack(decodePack(bytes, records), records),
      valueSize: bytes => bytes.length * CBOR_GROWTH
    }
  ]
}

markFactory('senml', senml)
