import { App } from '@iopa/appbuilder'
import { matchPattern, parsePattern } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { type RouteTable, routeTable } from '../src/route-table.ts'
import { router } from '../src/router.ts'

const tableOf = (patterns: readonly string[]): RouteTable<string> => {
  const table = routeTable<string>()
  for (const pattern of patterns) table.add('GET', pattern, pattern)
  return table
}
const found = (table: RouteTable<string>, path: string): readonly [string, Record<string, string>] | undefined => {
  const match = table.find('GET', path)
  return match && [match.route.value, { ...match.params }]
}

describe('text beside a parameter: a table finds a route of', () => {
  const GITHUB = [
    '/repos/{owner}/{repo}',
    '/repos/{owner}/{repo}/compare/{base}...{head}',
    '/repos/{owner}/{repo}/compare/{basehead}',
    '/repos/{owner}/{repo}/commits/{ref}',
    '/repos/{owner}/{repo}/commits/{ref}.diff',
    '/repos/{owner}/{repo}/commits/{ref}.patch',
    '/repos/{owner}/{repo}/git/refs/{ref*}',
    '/{owner}/{repo}.git/info/refs',
    '/{owner}/{repo}/info/refs',
    '/{owner}/{repo}/pull/{number:[0-9]+}',
    '/{owner}/{repo}/pull/{number:[0-9]+}.diff',
    '/{owner}/{repo}/archive/refs/tags/{tag}.tar.gz',
    '/{owner}/{repo}/archive/refs/tags/{tag}.zip',
    '/{user}.keys',
    '/{user}.gpg',
    '/{user}',
    '/@{user}'
  ]
  // API names custom methods behind a colon (google.aip.dev/136).
  const GOOGLE = [
    '/v1/projects/{project}',
    '/v1/projects/{project}:undelete',
    '/v1/projects/{project}:move',
    '/v1/projects/{project}/topics/{topic}:publish',
    '/v1/projects/{project}/topics/{topic}',
    '/v{version}/operations/{id}'
  ]
  // Matrix, npm, Docker, map tiles, dated archives, sitemaps.
  const OTHERS = [
    '/_matrix/media/v3/thumbnail/{server}/{media}',
    '/npm/@{scope}/{name}/-/{file}.tgz',
    '/npm/{name}/-/{file}.tgz',
    '/tiles/{z:[0-9]+}/{x:[0-9]+}/{y:[0-9]+}.png',
    '/tiles/{z:[0-9]+}/{x:[0-9]+}/{y:[0-9]+}@2x.png',
    '/tiles/{z:[0-9]+}/{x:[0-9]+}/{y:[0-9]+}.{format}',
    '/blog/{year:[0-9]{4}}-{month:[0-9]{2}}/{slug}.html',
    '/sitemap-{n:[0-9]+}.xml',
    '/sitemap.xml',
    '/o/{entity}({key})',
    '/img/{width:[0-9]+}x{height:[0-9]+}/{name}.{ext:png|jpg}'
  ]

  test.each<[string, readonly string[], string, Record<string, string>]>([
    ['/repos/a/b', GITHUB, '/repos/{owner}/{repo}', { owner: 'a', repo: 'b' }],
    ['/repos/a/b/compare/main...topic', GITHUB, GITHUB[1] as string, { owner: 'a', repo: 'b', base: 'main', head: 'topic' }],
    ['/repos/a/b/compare/main..topic', GITHUB, GITHUB[2] as string, { owner: 'a', repo: 'b', basehead: 'main..topic' }],
    ['/repos/a/b/commits/v1.0', GITHUB, GITHUB[3] as string, { owner: 'a', repo: 'b', ref: 'v1.0' }],
    ['/repos/a/b/commits/v1.0.diff', GITHUB, GITHUB[4] as string, { owner: 'a', repo: 'b', ref: 'v1.0' }],
    ['/repos/a/b/commits/v1.0.patch', GITHUB, GITHUB[5] as string, { owner: 'a', repo: 'b', ref: 'v1.0' }],
    ['/a/b.git/info/refs', GITHUB, '/{owner}/{repo}.git/info/refs', { owner: 'a', repo: 'b' }],
    ['/a/b/info/refs', GITHUB, '/{owner}/{repo}/info/refs', { owner: 'a', repo: 'b' }],
    ['/a/b/pull/12.diff', GITHUB, '/{owner}/{repo}/pull/{number:[0-9]+}.diff', { owner: 'a', repo: 'b', number: '12' }],
    ['/a/b/archive/refs/tags/v1.2.tar.gz', GITHUB, '/{owner}/{repo}/archive/refs/tags/{tag}.tar.gz', { owner: 'a', repo: 'b', tag: 'v1.2' }],
    ['/ann.keys', GITHUB, '/{user}.keys', { user: 'ann' }],
    ['/ann.keyx', GITHUB, '/{user}', { user: 'ann.keyx' }],
    ['/@ann', GITHUB, '/@{user}', { user: 'ann' }],
    ['/@', GITHUB, '/{user}', { user: '@' }],
    // More text: ".keys" before "@".
    ['/@ann.keys', GITHUB, '/{user}.keys', { user: '@ann' }],
    ['/v1/projects/p:undelete', GOOGLE, '/v1/projects/{project}:undelete', { project: 'p' }],
    ['/v1/projects/p', GOOGLE, '/v1/projects/{project}', { project: 'p' }],
    ['/v1/projects/p:other', GOOGLE, '/v1/projects/{project}', { project: 'p:other' }],
    ['/v1/projects/p/topics/t:publish', GOOGLE, '/v1/projects/{project}/topics/{topic}:publish', { project: 'p', topic: 't' }],
    // Static text first; where it leads nowhere, the mixed segment.
    ['/v1/operations/7', GOOGLE, '/v{version}/operations/{id}', { version: '1', id: '7' }],
    ['/npm/@iopa/http/-/http-5.0.0.tgz', OTHERS, '/npm/@{scope}/{name}/-/{file}.tgz', { scope: 'iopa', name: 'http', file: 'http-5.0.0' }],
    ['/npm/koa/-/koa-2.0.0.tgz', OTHERS, '/npm/{name}/-/{file}.tgz', { name: 'koa', file: 'koa-2.0.0' }],
    ['/tiles/3/4/5.png', OTHERS, OTHERS[3] as string, { z: '3', x: '4', y: '5' }],
    ['/tiles/3/4/5@2x.png', OTHERS, OTHERS[4] as string, { z: '3', x: '4', y: '5' }],
    ['/tiles/3/4/5.webp', OTHERS, OTHERS[5] as string, { z: '3', x: '4', y: '5', format: 'webp' }],
    ['/blog/2026-11/hello.html', OTHERS, OTHERS[6] as string, { year: '2026', month: '11', slug: 'hello' }],
    ['/sitemap-12.xml', OTHERS, '/sitemap-{n:[0-9]+}.xml', { n: '12' }],
    ['/sitemap.xml', OTHERS, '/sitemap.xml', {}],
    ['/o/Products(7)', OTHERS, '/o/{entity}({key})', { entity: 'Products', key: '7' }],
    ['/img/640x480/cat.jpg', OTHERS, OTHERS[10] as string, { width: '640', height: '480', name: 'cat', ext: 'jpg' }]
  ])('%s', (path, patterns, pattern, params) => {
    for (const table of [tableOf(patterns), tableOf([...patterns].reverse())]) expect(found(table, path)).toEqual([pattern, params])
    expect({ ...matchPattern(parsePattern(pattern), path) }).toEqual(params)
  })

  test.each([
    ['/tiles/3/4/x.png', OTHERS],
    ['/blog/2026-1/hello.html', OTHERS],
    ['/img/640x480/cat.gif', OTHERS],
    ['/sitemap-.xml', OTHERS],
    ['/o/Products()', OTHERS],
    ['/v/operations/7', GOOGLE]
  ])('none for %s', (path, patterns) => {
    expect(found(tableOf(patterns), path)).toBeUndefined()
  })
})

describe('mixed segments in a table', () => {
  test('come after static text and before constrained parameters, the one with more text first', () => {
    const patterns = ['/a.json', '/{id:a}.json', '/{id}.json', '/{a}.{b}', '/{id:[a-z.]+}', '/{id}', '/*']
    for (const table of [tableOf(patterns), tableOf([...patterns].reverse())]) {
      const paths = ['/a.json', '/b.json', '/b.txt', '/b', '/B', '/b/c', '/B.json.json']
      expect(paths.map(path => found(table, path)?.[0])).toEqual(['/a.json', '/{id}.json', '/{a}.{b}', '/{id:[a-z.]+}', '/{id}', '/*', '/{a}.{b}'])
    }
  })

  test('keep the parameters of the branch that matches', () => {
    const table = tableOf(['/{a}-{b}/x', '/{a}.{b}-{c}/y', '/{id}/z'])
    expect(found(table, '/1.2-3/x')).toEqual(['/{a}-{b}/x', { a: '1.2', b: '3' }])
    expect(found(table, '/1.2-3/y')).toEqual(['/{a}.{b}-{c}/y', { a: '1', b: '2', c: '3' }])
    expect(found(table, '/1.2-3/z')).toEqual(['/{id}/z', { id: '1.2-3' }])
  })

  test('may name parameters differently for each route of one shape', () => {
    const table = routeTable<string>()
    table.add('GET', '/{name}.json', 'get')
    table.add('PUT', '/{id}.json', 'put')
    table.add('GET', '/{file}.json/level', 'level')
    expect({ ...table.find('GET', '/a.json')?.params }).toEqual({ name: 'a' })
    expect({ ...table.find('PUT', '/a.json')?.params }).toEqual({ id: 'a' })
    expect({ ...table.find('GET', '/a.json/level')?.params }).toEqual({ file: 'a' })
    expect(table.methods('/a.json')).toEqual(['GET', 'PUT'])
  })

  test.each([
    ['/{a}.{b}', '/{x}.{y}'],
    ['/v{a}', '/v{b}'],
    ['/{a:[0-9]+}.json', '/{b:[0-9]+}.json'],
    ['/{a}.json/{b}?', '/{c}.json']
  ])('refuse %s and %s for one method', (one, two) => {
    const table = tableOf([one])
    expect(() => table.add('GET', two, '', () => 'app.ts:3')).toThrow(`The route GET ${two} (app.ts:3) matches the same paths as GET ${one}`)
  })

  test('are removed with the last route of their shape', () => {
    const table = routeTable<string>()
    const [get, put] = [table.add('GET', '/{a}.json', ''), table.add('PUT', '/{b}.json', '')]
    const plain = table.add('GET', '/{a}', 'plain')
    table.remove(get)
    expect(table.methods('/x.json')).toEqual(['GET', 'PUT'])
    expect(table.find('GET', '/x.json')?.route).toBe(plain)
    table.remove(put)
    expect(table.methods('/x.json')).toEqual(['GET'])
    expect(table.matches(get, '/x.json')).toBe(true)
    expect(() => table.add('PUT', '/{c}.json', '')).not.toThrow()
  })

  test('route /a.json and /a.json/ alike with trailingSlash: ignore', () => {
    const table = routeTable<string>({ trailingSlash: 'ignore' })
    table.add('GET', '/{id}.json/', '')
    expect({ ...table.find('GET', '/a.json')?.params }).toEqual({ id: 'a' })
    expect({ ...table.find('GET', '/a.json/')?.params }).toEqual({ id: 'a' })
  })

  test('may have 64 parameters, with any name', () => {
    const names = ['__proto__', 'constructor', ...Array.from({ length: 62 }, (_, at) => `p${at}`)]
    const table = tableOf([`/${names.map(name => `{${name}}`).join('-')}`])
    const { params } = table.find('GET', `/${names.map((_, at) => at).join('-')}`) as { params: Record<string, string> }
    expect(Object.keys(params)).toEqual(names)
    expect(Object.values(params)).toEqual(names.map((_, at) => String(at)))
    expect('toString' in params).toBe(false)
  })

  test('take hostile segments in time', () => {
    const table = tableOf(Array.from({ length: 100 }, (_, at) => `/{a:[-.a]+}-{b}.{c}.x${at}`))
    const start = process.cpuUsage()
    for (const part of ['-', '.', 'a-', '%', '😀', '-.']) {
      const text = part.repeat(Math.floor(1020 / part.length))
      for (const end of ['', '.x7', '.x99x']) table.find('GET', `/${text}${end}/${'/'.repeat(100_000)}`)
      expect(found(table, `/${'x'.repeat(1025)}-b.c.x7`)).toBeUndefined()
    }
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(200)
  })
})

describe('text beside a parameter in an app', () => {
  test('routes a decoded path, in groups and mounts too', async () => {
    const inner = new App().use(router()).get('/{name}.{ext}', ({ params }) => [params.name, params.ext])
    const app = new App().use(router()).mount('/files', inner)
    app.group('/v{version}', group => group.get('/compare/{base}...{head}', ({ params }) => [params.version, params.base, params.head]))
    const get = async (path: string): Promise<unknown> => (await app.invoke({ 'iopa.Method': 'GET', 'iopa.Path': path })).json()
    expect(await get('/v2/compare/a b...ä%')).toEqual(['2', 'a b', 'ä%'])
    expect(await get('/files/a.tar.gz')).toEqual(['a', 'tar.gz'])
  })

  test('is announced in parts', () => {
    const app = new App().use(router()).get('/x/{a}.{b:[0-9]+}', () => 1)
    const [route] = app.routes()
    expect(route?.pattern).toBe('/x/{a}.{b:[0-9]+}')
    expect(route?.segments[1]).toMatchObject({
      kind: 'mixed',
      prefix: '',
      params: [
        { name: 'a', literal: '.' },
        { name: 'b', literal: '', constraint: { source: '[0-9]+' } }
      ]
    })
  })
})
