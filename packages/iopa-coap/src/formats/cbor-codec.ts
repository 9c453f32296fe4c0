import { type Codec, encodeJson, parseJson } from '@iopa/transport'
import { type CborValue, toJson } from './cbor.ts'
import { decodeCbor } from './cbor-decoder.ts'
import { encodeCbor } from './cbor-encoder.ts'

/** CBOR of the values that JSON has (RFC 8949 section 6), so that a handler writes and reads the same under both types. */
export const cborCodec: Codec = {
  mediaType: 'application/cbor',
  contentFormat: 60,
  encode: value => encodeCbor(JSON.parse(encodeJson(value)) as CborValue),
  // By way of its text, for that refuses the keys that JSON may not have here.
  decode: bytes => parseJson(encodeJson(toJson(decodeCbor(bytes))))
}
