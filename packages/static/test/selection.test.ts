import { describe, expect, test } from 'vitest'
import { encodingChoice } from '../src/encodings.ts'
import { mediaTypeOf } from '../src/media-types.ts'
import { selectRange } from '../src/rendering.ts'

describe('ranges', () => {
  test.each([
    ['bytes=0-0', { start: 0, end: 1 }],
    ['bytes=2-4', { start: 2, end: 5 }],
    ['bytes=7-', { start: 7, end: 10 }],
    ['bytes=-3', { start: 7, end: 10 }],
    ['bytes=-10', { start: 0, end: 10 }],
    ['bytes=-100', { start: 0, end: 10 }],
    ['bytes=5-100', { start: 5, end: 10 }],
    ['Bytes=1-1', { start: 1, end: 2 }],
    ['bytes= 1 - 1 ', { start: 1, end: 2 }],
    ['bytes=0-18446744073709551616', { start: 0, end: 10 }]
  ] as const)('%s of ten bytes', (header, range) => expect(selectRange(header, 10)).toEqual(range))

  test.each([
    'lines=1-2',
    'lines=99-',
    'bytes',
    'bytes=',
    'bytes=x',
    'bytes=1',
    'bytes=1-x',
    'bytes=0-0,2-2',
    'bytes=0-0,',
    'bytes=90-,95-',
    'bytes=--1',
    'bytes=0x1-2',
    'bytes 0-1'
  ])('ignores %s', header => expect(selectRange(header, 10)).toBe('whole'))

  test.each(['bytes=10-', 'bytes=10-20', 'bytes=99-', 'bytes=-0', 'bytes=99999999999999999999-'])('cannot satisfy %s', header =>
    expect(selectRange(header, 10)).toBe('unsatisfiable')
  )

  test('cannot satisfy any range of an empty file', () => {
    for (const header of ['bytes=0-', 'bytes=-1', 'bytes=0-0', 'Bytes=5-9']) expect(selectRange(header, 0), header).toBe('unsatisfiable')
    for (const header of ['lines=0-', 'bytes=x', 'bytes=']) expect(selectRange(header, 0), header).toBe('whole')
  })
})

describe('content codings', () => {
  const all = ['br', 'zstd', 'gzip'] as const

  test.each([
    [undefined, 'identity'],
    ['', 'identity'],
    ['br', 'br'],
    ['gzip, deflate, br, zstd', 'br'],
    ['gzip, zstd', 'zstd'],
    ['gzip', 'gzip'],
    ['br;q=1.0', 'br'],
    ['br;q=0.5, gzip;q=0.8', 'gzip'],
    ['gzip;q=0.5', 'gzip'],
    ['br;q=0', 'identity'],
    ['br;q=0, gzip', 'gzip'],
    ['br;q=0.000', 'identity'],
    ['abbr', 'identity'],
    ['xbr, brx', 'identity'],
    ['BR', 'br'],
    ['*', 'br'],
    ['*;q=0.1, identity', 'identity'],
    ['br;q=0, *', 'zstd'],
    ['identity;q=1, br;q=0.9', 'identity'],
    ['identity;q=0, gzip', 'gzip'],
    ['identity;q=0', undefined],
    ['*;q=0', undefined]
  ] as const)('%s', (header, choice) => {
    const choose = encodingChoice()
    expect(choose(header, all)).toBe(choice)
    expect(choose(header, all)).toBe(choice)
  })

  test('chooses only available codings', () => {
    const choose = encodingChoice()
    expect(choose('br, gzip', ['gzip'])).toBe('gzip')
    expect(choose('br, gzip', ['br'])).toBe('br')
    expect(choose('br, gzip', ['gzip', 'br'])).toBe('gzip')
  })
})

describe('media types', () => {
  test.each([
    ['/index.html', 'text/html; charset=utf-8'],
    ['/A.TXT', 'text/plain; charset=utf-8'],
    ['/a.js', 'text/javascript; charset=utf-8'],
    ['/a.mjs', 'text/javascript; charset=utf-8'],
    ['/a.css', 'text/css; charset=utf-8'],
    ['/a.json', 'application/json'],
    ['/a.svg', 'image/svg+xml'],
    ['/a.png', 'image/png'],
    ['/a.wasm', 'application/wasm'],
    ['/a.unknown', 'application/octet-stream'],
    ['/Makefile', 'application/octet-stream'],
    ['/html', 'application/octet-stream'],
    ['/.html', 'application/octet-stream'],
    ['/v1.2/file', 'application/octet-stream'],
    ['/x.constructor', 'application/octet-stream'],
    ['/x.__proto__', 'application/octet-stream'],
    ['/x.toString', 'application/octet-stream']
  ])('maps %s to %s', (path, type) => expect(mediaTypeOf(path, {})).toBe(type))

  test('prefers custom types, and adds the charset option', () => {
    expect(mediaTypeOf('/a.html', { mediaTypes: { html: 'text/x-own' } })).toBe('text/x-own; charset=utf-8')
    expect(mediaTypeOf('/a.html', { charset: false })).toBe('text/html')
    expect(mediaTypeOf('/a.html', { charset: 'iso-8859-1' })).toBe('text/html; charset=iso-8859-1')
    expect(mediaTypeOf('/a.x', { mediaTypes: { x: 'text/x; charset=koi8-r' } })).toBe('text/x; charset=koi8-r')
  })
})
