import { describe, expect, test } from 'vitest'
import { ask, parse, serve } from './support.ts'

const get = async (target: string): Promise<ReturnType<typeof parse>> => {
  const { port } = await serve(context => [context.path, context['iopa.QueryString'], context['server.RawPath']])
  return parse(await ask(port, `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`))
}

describe('http canonicalises the path', () => {
  const accepted: readonly (readonly [string, readonly [string, string, string]])[] = [
    ['/', ['/', '', '/']],
    ['/a/b/', ['/a/b/', '', '/a/b/']],
    ['/k%C3%BCche/a%20b', ['/küche/a b', '', '/k%C3%BCche/a%20b']],
    ['/a%2525', ['/a%25', '', '/a%2525']],
    ['/a+b;c=d,e', ['/a+b;c=d,e', '', '/a+b;c=d,e']],
    ['/a?b=%2F&c=%zz?&d=+', ['/a', 'b=%2F&c=%zz?&d=+', '/a']],
    ['/a?', ['/a', '', '/a']],
    ['/.well-known/core', ['/.well-known/core', '', '/.well-known/core']]
  ]
  for (const [target, wanted] of accepted) test(target, async () => expect(JSON.parse((await get(target)).body)).toEqual(wanted))
})

describe('http refuses the path', () => {
  const refused: readonly (readonly [string, string, number, string])[] = [
    ['with an escape that is not UTF-8', '/%E0%A4%A', 400, 'undecodable-path'],
    ['with an escape that is none', '/%zz', 400, 'undecodable-path'],
    ['with an escaped NUL', '/a%00', 400, 'nul-in-path'],
    ['with escaped dots', '/a/%2e%2e/b', 400, 'dot-segment'],
    ['with dots', '/a/../b', 400, 'dot-segment'],
    ['with an escaped slash', '/a%2Fb', 400, 'slash-in-segment'],
    ['with an escaped backslash', '/a%5cb', 400, 'slash-in-segment'],
    ['with a backslash', '/a\\b', 400, 'slash-in-segment'],
    ['with an empty segment', '//a', 400, 'empty-segment'],
    ['of 1,000 segments', '/a'.repeat(1000), 414, 'too-many-segments'],
    ['with a segment of 2,000 characters', `/${'a'.repeat(2000)}`, 414, 'segment-too-long']
  ]
  for (const [name, target, status, code] of refused) {
    test(name, async () => {
      const answer = await get(target)
      expect(answer.status).toBe(status)
      expect(JSON.parse(answer.body)).toMatchObject({ status, code })
    })
  }
})
