import { describe, expect, test } from 'vitest'
import { codingOf, formatOf, mediaTypeOf, nearestFormatOf, opaqueMediaType } from '../src/codec/content-formats.ts'

describe('content formats', () => {
  test.each([
    [0, 'text/plain;charset=utf-8'],
    [40, 'application/link-format'],
    [41, 'application/xml'],
    [42, 'application/octet-stream'],
    [47, 'application/exi'],
    [50, 'application/json'],
    [60, 'application/cbor'],
    [61, 'application/cwt'],
    [62, 'application/multipart-core'],
    [110, 'application/senml+json'],
    [112, 'application/senml+cbor'],
    [257, 'application/concise-problem-details+cbor'],
    [11544, 'application/vnd.oma.lwm2m+cbor']
  ])('maps %d to %s and back', (number, mediaType) => {
    expect(mediaTypeOf(number)).toBe(mediaType)
    expect(formatOf(mediaType)).toBe(number)
  })

  test('takes every number of the registry to its media type and back', () => {
    let registered = 0
    for (let number = 0; number <= 0xffff; number++) {
      const mediaType = mediaTypeOf(number)
      if (mediaType === undefined) continue
      registered++
      expect(formatOf(mediaType, codingOf(number))).toBe(number)
    }
    expect(registered).toBeGreaterThan(70)
  })

  test('tells a content coding apart from the media type', () => {
    expect([mediaTypeOf(11050), codingOf(11050)]).toEqual(['application/json', 'deflate'])
    expect(formatOf('application/json', 'deflate')).toBe(11050)
    expect(formatOf('application/cbor', 'Deflate ')).toBe(11060)
    expect(formatOf('application/json', 'identity')).toBe(50)
    expect(formatOf('application/json', 'gzip')).toBeUndefined()
    expect(codingOf(50)).toBeUndefined()
  })

  test.each([
    ['application/json; charset=utf-8', 50],
    ['APPLICATION/JSON ;charset="UTF-8"', 50],
    ['application/json;q=0.5', 50],
    ['application/json; profile="https://example.org/p;q,x"', 50],
    ['text/plain', 0],
    ['text/plain; charset=us-ascii', 0],
    ['text/plain;', 0],
    [' text/plain ; ; charset=utf-8 ', 0],
    ['text/xml', 41],
    ['application/cose; cose-type=cose-mac0', 17],
    ['application/cose; x=1; cose-type="cose-sign"', undefined],
    ['application/yang-data+cbor; id=name', 341],
    ['application/yang-data+cbor', 340]
  ])('reads %s with its parameters', (mediaType, number) => {
    expect(formatOf(mediaType)).toBe(number)
  })

  test.each([
    'text/plain; charset=iso-8859-1',
    'application/cose',
    'application/vnd.unknown',
    'nonsense',
    '',
    'text/plain; charset',
    `a/${'b'.repeat(5000)}`,
    '*/*'
  ])('has no number for %j', mediaType => {
    expect(formatOf(mediaType)).toBeUndefined()
  })

  test('carries an unregistered number through application/coap-payload', () => {
    expect(mediaTypeOf(65000)).toBeUndefined()
    expect(opaqueMediaType(65000)).toBe('application/coap-payload;cf=65000')
    expect(formatOf('application/coap-payload; CF=65000')).toBe(65000)
    expect(formatOf('application/coap-payload;cf=65536')).toBeUndefined()
    expect(formatOf('application/coap-payload')).toBeUndefined()
  })

  test('finds the nearest number of a type that has none', () => {
    expect(nearestFormatOf('application/hal+json')).toBe(50)
    expect(nearestFormatOf('application/senml+json')).toBe(110)
    expect(nearestFormatOf('application/vnd.x+cbor; a=b')).toBe(60)
    expect(nearestFormatOf('text/markdown')).toBe(0)
    expect(nearestFormatOf('text/markdown; charset=latin1')).toBeUndefined()
    expect(nearestFormatOf('video/mp4')).toBeUndefined()
  })
})
