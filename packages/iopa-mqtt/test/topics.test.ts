import { parsePattern, type RouteInfo } from '@iopa/appbuilder/extension'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RouteIndex } from '../src/broker/topics/route-index.ts'
import { SubscriptionTrie } from '../src/broker/topics/subscription-trie.ts'
import { TopicTree } from '../src/broker/topics/topic-tree.ts'
import { isCanonicalTopic, isTopicFilter, isTopicName, levelCount, parseSharedFilter, pathOf, topicMatches, topicOf } from '../src/topics/topic.ts'

/** Null stands for a piece of a search that found nothing. */
const isFound = (topic: string | null): topic is string => topic !== null

describe('topic names and filters', () => {
  test('are distinguished by their wildcards', () => {
    for (const name of ['a', '/', 'a/b', '/a', 'a/', ' ', 'ä/ü', '$SYS/x']) {
      expect(isTopicName(name), name).toBe(true)
      expect(isTopicFilter(name), name).toBe(true)
    }
    for (const filter of ['#', '+', 'a/#', '+/b', 'a/+/c', '+/+', '/+', '/#', '$SYS/#']) {
      expect(isTopicName(filter), filter).toBe(false)
      expect(isTopicFilter(filter), filter).toBe(true)
    }
    for (const wrong of ['', 'a\0b', 'a#', '#/a', 'a/#/b', 'a+', '+a', 'a/b+/c', '##', '++', 'a/#b', '\ud800', `x${'y'.repeat(65_535)}`]) {
      expect(isTopicFilter(wrong), wrong.slice(0, 10)).toBe(false)
    }
  })

  test('know shared subscriptions by their form', () => {
    expect(parseSharedFilter('$share/g/a/+')).toEqual({ group: 'g', filter: 'a/+' })
    expect(parseSharedFilter('a/b')).toBeNull()
    for (const wrong of ['$share', '$share/', '$share/g', '$share/g/', '$share//a', '$share/g+/a', '$share/#/a', '$share/g/a#']) {
      expect(isTopicFilter(wrong), wrong).toBe(false)
    }
    expect(isTopicFilter('$share/g/a/#')).toBe(true)
    expect(isTopicFilter('$share/g//')).toBe(true)
  })

  test('turn into paths and back without decoding anything', () => {
    expect(pathOf('a%20b')).toBe('/a%20b')
    expect(pathOf('/a')).toBe('//a')
    expect(topicOf('/lights/hall')).toBe('lights/hall')
  })

  test('reach a route only when their path is canonical', () => {
    for (const good of ['a', 'a/b', 'a/', 'a.b', '...']) expect(isCanonicalTopic(good), good).toBe(true)
    for (const bad of ['/a', 'a//b', '.', '..', 'a/../b', 'a/.', 'a\\b', '/', '$SYS/x', '']) expect(isCanonicalTopic(bad), bad).toBe(false)
  })

  test('have as many levels as slashes and one', () => {
    expect(['a', 'a/b', '/', '//'].map(levelCount)).toEqual([1, 2, 2, 3])
  })
})

const MATCHES: readonly (readonly [filter: string, topic: string, matches: boolean])[] = [
  ['sport/tennis/player1/#', 'sport/tennis/player1', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
  ['sport/#', 'sport', true],
  ['sport/#', 'sports', false],
  ['#', 'a/b', true],
  ['sport/tennis/+', 'sport/tennis/player1', true],
  ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['+/+', '/finance', true],
  ['/+', '/finance', true],
  ['+', '/finance', false],
  ['#', '$SYS/x', false],
  ['+/x', '$SYS/x', false],
  ['$SYS/#', '$SYS/x', true],
  ['$SYS/+', '$SYS/x', true],
  ['+/#', 'a', true],
  ['a/+/#', 'a', false],
  ['a/+/#', 'a/b', true],
  ['a//b', 'a//b', true],
  ['a/+/b', 'a//b', true],
  ['ab/c', 'a/c', false],
  ['a', 'ab', false]
]

describe('matching', () => {
  test.each(MATCHES)('of filter %s and topic %s is %s', (filter, topic, matches) => {
    expect(topicMatches(filter, topic)).toBe(matches)
    const trie = new SubscriptionTrie<string, string>()
    trie.set(filter, 'k', filter)
    const found: string[] = []
    trie.match(topic, value => found.push(value))
    expect(found).toEqual(matches ? [filter] : [])
    const tree = new TopicTree<string>()
    tree.set(topic, topic)
    expect([...tree.match(filter)].filter(isFound)).toEqual(matches ? [topic] : [])
  })

  const level = fc.constantFrom('a', 'b', 'c', '', '$x')
  const topics = fc
    .array(level, { minLength: 1, maxLength: 4 })
    .map(levels => levels.join('/'))
    .filter(isTopicName)
  const filters = fc
    .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }), fc.boolean())
    .map(([levels, hash]) => [...levels, ...(hash ? ['#'] : [])].join('/'))
    .filter(isTopicFilter)

  test('finds in the trie and the tree the same as one by one comparison', () => {
    fc.assert(
      fc.property(fc.array(topics, { maxLength: 20 }), fc.array(filters, { maxLength: 20 }), (names, patterns) => {
        const trie = new SubscriptionTrie<number, string>()
        const tree = new TopicTree<string>()
        for (const pattern of patterns) trie.set(pattern, 1, pattern)
        for (const name of names) tree.set(name, name)
        for (const name of new Set(names)) {
          const found: string[] = []
          trie.match(name, value => found.push(value))
          expect(found.sort()).toEqual([...new Set(patterns)].filter(pattern => topicMatches(pattern, name)).sort())
        }
        for (const pattern of new Set(patterns)) {
          expect([...tree.match(pattern)].filter(isFound).sort()).toEqual([...new Set(names)].filter(name => topicMatches(pattern, name)).sort())
        }
      })
    )
  })

  test('leaves nothing behind when everything was removed', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(filters, fc.integer({ min: 0, max: 3 })), { maxLength: 30 }), entries => {
        const trie = new SubscriptionTrie<number, string>()
        const unique = new Set(entries.map(([filter, key]) => `${key} ${filter}`))
        for (const [filter, key] of entries) trie.set(filter, key, filter)
        expect(trie.size).toBe(unique.size)
        for (const [filter, key] of entries) trie.delete(filter, key)
        expect(trie.size).toBe(0)
        const found: string[] = []
        for (const topic of ['a', 'a/b', 'a/b/c', '$x/a']) trie.match(topic, value => found.push(value))
        expect(found).toEqual([])
        expect(trie.delete('a', 0)).toBe(false)
      })
    )
  })

  test('changes the version of the trie with every change that counts', () => {
    const trie = new SubscriptionTrie<number, string>()
    trie.set('a/+', 1, 'x')
    const version = trie.version
    expect(trie.delete('a/b', 1)).toBe(false)
    expect(trie.version).toBe(version)
    trie.delete('a/+', 1)
    expect(trie.version).not.toBe(version)
  })

  test('walks a tree while topics are taken out of it', () => {
    const tree = new TopicTree<string>()
    for (let index = 0; index < 100; index++) tree.set(`a/${index}`, `a/${index}`)
    const seen: string[] = []
    for (const topic of tree.match('a/+')) {
      if (topic === null) continue
      seen.push(topic)
      tree.delete(topic)
    }
    expect(seen).toHaveLength(100)
    expect(tree.size).toBe(0)
  })
})

describe('a route with a constraint', () => {
  test('maps only the accepted topics to state', () => {
    const segments = [
      { kind: 'static', value: 'rooms' },
      { kind: 'param', name: 'number', constraint: /^[0-9]+$/ }
    ] as const
    const routes = new RouteIndex({ routes: () => [{ method: 'GET', segments } as unknown as RouteInfo], routesVersion: 0 })
    expect(routes.hasGet('/rooms/7')).toBe(true)
    expect(routes.hasGet('/rooms/hall')).toBe(false)
    expect(routes.hasAny('/rooms/hall')).toBe(false)
  })
})

describe('a route with text beside a parameter', () => {
  test('maps only the accepted topics to state', () => {
    const { segments } = parsePattern('/v{version}/{id}.json/{part}?')
    const routes = new RouteIndex({ routes: () => [{ method: 'GET', pattern: '', segments, attributes: {} }], routesVersion: 0 })
    const covered = (path: string): boolean => routes.hasGet(path)
    expect(['/v1/a.json', '/v1/a.json/level'].map(covered)).toEqual([true, true])
    expect(['/v1/a', '/v/a.json', '/v1/.json', '/1/a.json', '/v1/a.json/x/y'].map(covered)).toEqual([false, false, false, false, false])
  })
})
