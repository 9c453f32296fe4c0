import { type PatternSegment, parsePattern } from '@iopa/appbuilder/extension'
import { array, assert, constantFrom, property } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { covers, filtersOf, overlaps, partitionByOverlap, withoutCovered } from '../src/bridge/filters.ts'
import { topicMatches } from '../src/topics/topic.ts'

const text = (value: string): PatternSegment => ({ kind: 'static', value })
const id: PatternSegment = { kind: 'param', name: 'id' }
const maybe: PatternSegment = { kind: 'param', name: 'id', optional: true }
const digits: PatternSegment = parsePattern('/{id:[0-9]+}').segments[0] as PatternSegment
const rest: PatternSegment = { kind: 'tail', name: 'rest' }
const mixed = (raw: string): PatternSegment => parsePattern(`/${raw}`).segments[0] as PatternSegment

describe('filters of routes', () => {
  test.each<[string, PatternSegment[], string[]]>([
    ['/lights/hall', [text('lights'), text('hall')], ['lights/hall']],
    ['/lights/:id', [text('lights'), id], ['lights/+']],
    ['/lights/{id:[0-9]+}/level', [text('lights'), digits, text('level')], ['lights/+/level']],
    ['/lights/{id}?', [text('lights'), maybe], ['lights', 'lights/+']],
    ['/{id}?', [maybe], ['+']],
    ['/files/*', [text('files'), rest], ['files/#']],
    ['/lights/', [text('lights'), text('')], ['lights/']],
    ['/*', [rest], ['#']],
    ['/', [], []],
    ['/a+b', [text('a+b')], []],
    ['/lights/{id}.json', [text('lights'), mixed('{id}.json')], ['lights/+']],
    ['/v{version}/{id}?', [mixed('v{version}'), maybe], ['+', '+/+']],
    // No topic holds a wildcard, and no wildcard at the beginning matches a topic with a $ there.
    ['/lights/{a}+{b}', [text('lights'), mixed('{a}+{b}')], []],
    ['/lights/#{a}', [text('lights'), mixed('#{a}')], []],
    ['/$x{a}', [mixed('$x{a}')], []],
    ['/lights/$x{a}', [text('lights'), mixed('$x{a}')], ['lights/+']]
  ])('%s has them', (_, segments, filters) => {
    expect(filtersOf(segments).sort()).toEqual([...filters].sort())
  })

  test('omit filters that another filter covers', () => {
    expect(withoutCovered(['lights/hall', 'lights/+', 'lights/+', 'lights/#', 'sensors/+'])).toEqual(['lights/#', 'sensors/+'])
    expect(withoutCovered(['#', '$SYS/#'])).toEqual(['#', '$SYS/#'])
  })

  test('distinguish shared topics', () => {
    expect(partitionByOverlap(['lights/+', '+/hall', 'sensors/+/value'])).toEqual({
      disjoint: ['sensors/+/value'],
      overlapping: ['lights/+', '+/hall']
    })
  })

  const level = constantFrom('a', 'b', '', '+')
  const filter = array(level, { minLength: 1, maxLength: 4 }).chain(levels => constantFrom(levels.join('/'), `${levels.join('/')}/#`, '#'))
  const topics = (() => {
    const all: string[] = []
    const grow = (prefix: string[], depth: number): void => {
      if (prefix.length > 0) all.push(prefix.join('/'))
      if (depth > 0) for (const next of ['a', 'b', '', 'c']) grow([...prefix, next], depth - 1)
    }
    grow([], 5)
    return all
  })()

  test('cover and overlap exactly as matching says', () => {
    assert(
      property(filter, filter, (one, other) => {
        const inOne = topics.filter(topic => topicMatches(one, topic))
        const inOther = topics.filter(topic => topicMatches(other, topic))
        expect(covers(one, other), `${one} covers ${other}`).toBe(inOther.every(topic => topicMatches(one, topic)))
        expect(overlaps(one, other), `${one} overlaps ${other}`).toBe(inOne.some(topic => topicMatches(other, topic)))
      }),
      { numRuns: 400 }
    )
  })
})
