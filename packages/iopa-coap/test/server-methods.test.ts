import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { decodeProblem } from '../src/formats/problem-details.ts'
import { line } from './raw-peer.ts'
import { code, kind, text, withServer } from './raw-peer-server.ts'

describe('methods and answers of the server', () => {
  test(
    'answers an unknown method 4.05, in the type of the request',
    withServer(async peer => {
      expect(kind(await peer.ask(31, { path: '/test' }))).toBe('ACK 4.05')
      expect(kind(await peer.ask(31, { type: TYPE.NON, path: '/test' }))).toBe('NON 4.05')
    })
  )

  test(
    'answers a method that the resource does not have 4.05, to NON in a NON',
    withServer(async peer => {
      expect(kind(await peer.ask(CODE.POST, { path: '/validate', payload: 'x' }))).toBe('ACK 4.05')
      expect(kind(await peer.ask(CODE.POST, { type: TYPE.NON, path: '/validate', payload: 'x' }))).toBe('NON 4.05')
    })
  )

  test(
    'serves FETCH, PATCH and iPATCH',
    withServer(async peer => {
      expect(line(await peer.ask(CODE.FETCH, { path: '/etch', payload: 'a' }))).toBe('ACK 2.05 {tk} "fetched a"')
      expect(line(await peer.ask(CODE.PATCH, { path: '/etch', payload: 'b' }))).toBe('ACK 2.04 {tk} "patched b"')
      expect(line(await peer.ask(CODE.IPATCH, { path: '/etch', payload: 'c' }))).toBe('ACK 2.04 {tk} "ipatched c"')
    })
  )

  test(
    'maps media types both ways, and 4.15 what a handler cannot read',
    withServer(async peer => {
      const json = await peer.ask(CODE.GET, { path: '/json' })
      expect([code(json), json.options.uint(OPTION.CONTENT_FORMAT), text(json)]).toEqual(['2.05', 50, '{"on":true}'])
      const put = (format: number, payload: string) => peer.ask(CODE.PUT, { path: '/json', payload, options: [[OPTION.CONTENT_FORMAT, format]] })
      expect(code(await put(50, '{"a":1}'))).toBe('2.04')
      expect(code(await put(50, '{"a":'))).toBe('4.00')
      expect(code(await put(42, 'x'))).toBe('4.15')
    })
  )

  test(
    'lets nothing of the inside out with an error',
    withServer(async peer => {
      const plain = await peer.ask(CODE.GET, { path: '/fails' })
      expect(code(plain)).toBe('5.00')
      expect(text(plain)).not.toMatch(/secret|inside|\bat /)
      const concise = await peer.ask(CODE.GET, { path: '/fails', options: [[OPTION.ACCEPT, 257]] })
      expect([code(concise), concise.options.uint(OPTION.CONTENT_FORMAT)]).toEqual(['5.00', 257])
      expect(Buffer.from(concise.payload).toString('latin1')).not.toContain('secret')
      expect(decodeProblem(concise.payload)).toMatchObject({ responseCode: CODE.INTERNAL_SERVER_ERROR })
    })
  )

  test(
    'explains a missing resource in words that can be read as they are',
    withServer(async peer => {
      const missing = await peer.ask(CODE.GET, { path: '/nowhere' })
      expect(code(missing)).toBe('4.04')
      expect(missing.options.has(OPTION.CONTENT_FORMAT)).toBe(false)
      expect(text(missing)).toMatch(/^[\x20-\x7e]*$/)
    })
  )
})
