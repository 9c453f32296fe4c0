import { describe, expect, test } from 'vitest'
import { parsePattern } from '../../src/patterns/pattern.ts'

const shapes = (text: string): string[] =>
  parsePattern(text).variants.map(variant =>
    variant
      .map(segment =>
        segment.kind === 'static'
          ? segment.value
          : segment.kind === 'tail'
            ? `${segment.name}...`
            : `<${segment.name}${segment.constraint ? `:${segment.constraint.source}` : ''}>`
      )
      .join(' / ')
  )

describe('parsePattern', () => {
  test.each([
    ['/', ['']],
    ['/lights', ['lights']],
    ['/lights/', ['lights / ']],
    ['/lights/:id', ['lights / <id>']],
    ['/lights/{id}', ['lights / <id>']],
    ['/lights/{id:[0-9]+}', ['lights / <id:[0-9]+>']],
    ['/lights/{id:[0-9]{1,3}}', ['lights / <id:[0-9]{1,3}>']],
    ['/lights/:id{[0-9]+}', ['lights / <id:[0-9]+>']],
    ['/lights/{id:[^/]+}/level', ['lights / <id:[^/]+> / level']],
    ['/lights/{id:a:b}', ['lights / <id:a:b>']],
    ['/lights/{id}?', ['lights / <id>', 'lights']],
    ['/lights/:id?', ['lights / <id>', 'lights']],
    ['/lights/{id:[0-9]+}?', ['lights / <id:[0-9]+>', 'lights']],
    ['/{lang:en|de}?/lights', ['<lang:en|de> / lights', 'lights']],
    ['/{id}?', ['<id>', '']],
    ['/{a}?/{b}?', ['<a> / <b>', '<a>', '<b>', '']],
    ['/files/*', ['files / *...']],
    ['/files/{rest*}', ['files / rest...']],
    ['/files/{rest*}?', ['files / rest...', 'files']],
    ['/lights/1:reset', ['lights / 1:reset']],
    ['/.well-known/core', ['.well-known / core']],
    ['/wiki/Foo_(bar)', ['wiki / Foo_(bar)']],
    ['/grün/灯 1', ['grün / 灯 1']]
  ])('parses %s to %j', (text, expected) => {
    expect(shapes(text)).toEqual(expected)
  })

  test.each([
    ['lights', 'begin it with "/"'],
    ['', 'begin it with "/"'],
    ['/lights/:id.json', 'a parameter fills its whole segment, and ":id.json" mixes one with other text'],
    ['/lights/{id}.json', 'a parameter fills its whole segment'],
    ['/lights/v{id}', 'a parameter fills its whole segment'],
    ['/lights/:a-:b', 'a parameter fills its whole segment'],
    ['/lights/:id([0-9]+)', 'a parameter fills its whole segment'],
    ['/lights/{a}{b}', 'a parameter fills its whole segment'],
    ['/lights/{}', 'name a parameter with letters, digits and "_"'],
    ['/lights/{1st}', 'name a parameter with letters'],
    ['/lights/{+id}', 'name a parameter with letters'],
    ['/lights/:', 'name the parameter ":"'],
    ['/lights/:1st', 'name the parameter ":1st"'],
    ['/lights/{id', 'close its "{" with "}"'],
    ['/lights/id}', 'a "}" has no "{" before it'],
    ['/a/:id/b/:id', 'give each parameter its own name; "id" is used twice'],
    ['/a//b', 'remove the empty segment'],
    ['/a/../b', 'remove the segment ".."'],
    ['/a/./b', 'remove the segment "."'],
    ['/a\\b', 'remove the backslash'],
    ['/a\0b', 'remove the backslash or NUL'],
    ['/a%20b', 'write the characters themselves'],
    ['/a?b=1', 'the query string is no part of a pattern'],
    ['/*/a', 'move "*" to the end'],
    ['/{rest*}/a', 'move "{rest*}" to the end'],
    ['/a*', 'a "*" stands alone'],
    ['/**', 'a "*" stands alone'],
    [`${'/a'.repeat(65)}`, 'use at most 64 segments'],
    [`/${'a'.repeat(1025)}`, 'use at most 1024 characters'],
    ['/{a}?/{b}?/{c}?/{d}?/{e}?', 'use at most 4 optional segments']
  ])('refuses %j with advice', (text, advice) => {
    expect(() => parsePattern(text)).toThrow(advice)
    expect(() => parsePattern(text)).toThrow(JSON.stringify(text))
  })

  test('accepts 64 segments', () => {
    expect(parsePattern('/a'.repeat(64)).segments).toHaveLength(64)
  })
})
