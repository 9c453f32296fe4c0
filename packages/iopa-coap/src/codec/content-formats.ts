import { parseMediaType } from './media-type.ts'

// The CoAP Content-Formats registry (RFC 7252 section 12.3) as of 2026, without temporary registrations: number, media type, content coding.
const REGISTRY: readonly (readonly [number, string, string?])[] = [
  [0, 'text/plain;charset=utf-8'],
  [16, 'application/cose;cose-type="cose-encrypt0"'],
  [17, 'application/cose;cose-type="cose-mac0"'],
  [18, 'application/cose;cose-type="cose-sign1"'],
  [19, 'application/ace+cbor'],
  [21, 'image/gif'],
  [22, 'image/jpeg'],
  [23, 'image/png'],
  [40, 'application/link-format'],
  [41, 'application/xml'],
  [42, 'application/octet-stream'],
  [47, 'application/exi'],
  [50, 'application/json'],
  [51, 'application/json-patch+json'],
  [52, 'application/merge-patch+json'],
  [60, 'application/cbor'],
  [61, 'application/cwt'],
  [62, 'application/multipart-core'],
  [63, 'application/cbor-seq'],
  [64, 'application/edhoc+cbor-seq'],
  [65, 'application/cid-edhoc+cbor-seq'],
  [96, 'application/cose;cose-type="cose-encrypt"'],
  [97, 'application/cose;cose-type="cose-mac"'],
  [98, 'application/cose;cose-type="cose-sign"'],
  [101, 'application/cose-key'],
  [102, 'application/cose-key-set'],
  [110, 'application/senml+json'],
  [111, 'application/sensml+json'],
  [112, 'application/senml+cbor'],
  [113, 'application/sensml+cbor'],
  [114, 'application/senml-exi'],
  [115, 'application/sensml-exi'],
  [140, 'application/yang-data+cbor;id=sid'],
  [256, 'application/coap-group+json'],
  [257, 'application/concise-problem-details+cbor'],
  [258, 'application/swid+cbor'],
  [259, 'application/pkixcmp'],
  [260, 'application/yang-sid+json'],
  [261, 'application/ace-groupcomm+cbor'],
  [262, 'application/ace-trl+cbor'],
  [263, 'application/eat+cwt'],
  [264, 'application/eat+jwt'],
  [265, 'application/eat-bun+cbor'],
  [266, 'application/eat-bun+json'],
  [267, 'application/eat-ucs+cbor'],
  [268, 'application/eat-ucs+json'],
  [269, 'application/coap-eap'],
  [271, 'application/dots+cbor'],
  [272, 'application/missing-blocks+cbor-seq'],
  [280, 'application/pkcs7-mime;smime-type=server-generated-key'],
  [281, 'application/pkcs7-mime;smime-type=certs-only'],
  [284, 'application/pkcs8'],
  [285, 'application/csrattrs'],
  [286, 'application/pkcs10'],
  [287, 'application/pkix-cert'],
  [290, 'application/aif+cbor'],
  [291, 'application/aif+json'],
  [310, 'application/senml+xml'],
  [311, 'application/sensml+xml'],
  [320, 'application/senml-etch+json'],
  [322, 'application/senml-etch+cbor'],
  [340, 'application/yang-data+cbor'],
  [341, 'application/yang-data+cbor;id=name'],
  [432, 'application/td+json'],
  [433, 'application/tm+json'],
  [434, 'application/sdf+json'],
  [601, 'application/uccs+cbor'],
  [10000, 'application/vnd.ocf+cbor'],
  [10001, 'application/oscore'],
  [10002, 'application/javascript'],
  [10570, 'application/toc+cbor'],
  [10571, 'application/ce+cbor'],
  [11050, 'application/json', 'deflate'],
  [11060, 'application/cbor', 'deflate'],
  [11542, 'application/vnd.oma.lwm2m+tlv'],
  [11543, 'application/vnd.oma.lwm2m+json'],
  [11544, 'application/vnd.oma.lwm2m+cbor'],
  [12000, 'text/plain;charset=utf-8', 'zstd'],
  [12041, 'application/xml', 'zstd'],
  [12050, 'application/json', 'zstd'],
  [20000, 'text/css'],
  [30000, 'image/svg+xml']
]

// RFC 8075 section 6.2: the media type of a payload whose Content-Format has none that is known here.
const OPAQUE = 'application/coap-payload'

const byNumber: ReadonlyMap<number, readonly [number, string, string?]> = new Map(REGISTRY.map(row => [row[0], row]))
const byName: ReadonlyMap<string, number> = new Map(
  REGISTRY.flatMap(([number, mediaType, coding]) => namesOf(mediaType, coding).map(name => [name, number]))
)

/** The media type of a Content-Format number, with its parameters; undefined when the registry has no such number. */
export function mediaTypeOf(number: number): string | undefined {
  return byNumber.get(number)?.[1]
}

/** The content coding of a Content-Format number, such as `deflate`; undefined when the payload is as its media type says. */
export function codingOf(number: number): string | undefined {
  return byNumber.get(number)?.[2]
}

/** The media type that stands for a number the registry does not have: `application/coap-payload;cf=N` (RFC 8075 section 6.2). */
export function opaqueMediaType(number: number): string {
  return `${OPAQUE};cf=${number}`
}

/**
 * The Content-Format number of a media type, or undefined when the registry has none that says the same.
 * Case, spaces, `q` and a UTF-8 charset do not matter; any other charset has no number, for a peer would misread the text.
 * A parameter that no registration knows is dropped.
 */
export function formatOf(mediaType: string, coding?: string): number | undefined {
  const direct = byName.get(coding ? `${mediaType} ${coding}` : mediaType)
  if (direct !== undefined) return direct
  const parsed = parseMediaType(mediaType)
  if (!parsed || !isUtf8(parsed.charset)) return undefined
  const { type, parameters } = parsed
  if (type === OPAQUE) return coding ? undefined : opaqueNumber(parameters)
  const normalCoding = coding?.trim().toLowerCase()
  const suffix = normalCoding && normalCoding !== 'identity' ? ` ${normalCoding}` : ''
  return byName.get(type + parameters.join('') + suffix) ?? byName.get(type + suffix)
}

/**
 * The nearest Content-Format of a media type that has none of its own: its structured syntax suffix decides (`+json`, `+cbor`, `+xml`),
 * text falls back to 0 (loose mapping, RFC 8075 section 6.3). Undefined for anything else.
 */
export function nearestFormatOf(mediaType: string, coding?: string): number | undefined {
  const exact = formatOf(mediaType, coding)
  if (exact !== undefined) return exact
  const parsed = parseMediaType(mediaType)
  if (!parsed || !isUtf8(parsed.charset)) return undefined
  const suffix = /\+(json|cbor|xml)$/.exec(parsed.type)?.[1]
  if (suffix) return formatOf(`application/${suffix}`, coding)
  return parsed.type.startsWith('text/') ? formatOf('text/plain', coding) : undefined
}

const isUtf8 = (charset: string | undefined): boolean => charset === undefined || charset === 'utf-8' || charset === 'us-ascii'

/** A registered name as it is written, which spares the common case the parser, and as the parser renders it. */
function namesOf(mediaType: string, coding: string | undefined): string[] {
  const { type, parameters } = parseMediaType(mediaType)!
  return [mediaType, type + parameters.join('')].map(name => (coding ? `${name} ${coding}` : name))
}

function opaqueNumber(parameters: readonly string[]): number | undefined {
  const digits = /^;cf=(\d{1,5})$/.exec(parameters[0] ?? '')?.[1]
  return digits !== undefined && parameters.length === 1 && Number(digits) <= 0xffff ? Number(digits) : undefined
}

/** The media type that a Content-Format or Accept option names. */
export const typeOfFormat = (format: number): string => mediaTypeOf(format) ?? opaqueMediaType(format)
