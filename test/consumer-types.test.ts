import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const run = promisify(execFile)
const root = realpathSync(new URL('..', import.meta.url).pathname)
const packages = join(root, 'packages')
const manifestOf = (folder: string): { name: string; dependencies?: Record<string, string> } =>
  JSON.parse(readFileSync(join(packages, folder, 'package.json'), 'utf8'))
const folderOf = new Map(readdirSync(packages).map(folder => [manifestOf(folder).name, folder]))
const coreOf = (folder: string): string[] => Object.keys(manifestOf(folder).dependencies ?? {}).flatMap(name => folderOf.get(name) ?? [])
/** What an app names in its package.json; what these need of the core it cannot import. */
const WANTED = ['appbuilder', 'resource', 'router', 'static', ...[...folderOf.values()].filter(folder => folder.startsWith('iopa-'))]
const nameOf = (folder: string): string => folder.replace('iopa-', '')

/** As pnpm installs: each package sees its own dependencies and no others, and the app sees what it has named. */
const install = (place: string, wanted: readonly string[]): void => {
  const homeOf = (folder: string): string => join(place, 'node_modules/.pnpm', nameOf(folder), 'node_modules/@iopa', nameOf(folder))
  const link = (folder: string, into: string): void => {
    const at = join(into, '@iopa', nameOf(folder))
    mkdirSync(dirname(at), { recursive: true })
    if (!existsSync(at)) symlinkSync(homeOf(folder), at)
  }
  const add = (folder: string): void => {
    if (existsSync(homeOf(folder))) return
    mkdirSync(homeOf(folder), { recursive: true })
    for (const part of ['package.json', 'dist']) cpSync(join(packages, folder, part), join(homeOf(folder), part), { recursive: true })
    for (const dependency of coreOf(folder)) {
      add(dependency)
      link(dependency, join(homeOf(folder), '../..'))
    }
  }
  for (const folder of wanted) {
    add(folder)
    link(folder, join(place, 'node_modules'))
  }
}

const COMPILERS = [
  ['5.7', 'node_modules/typescript57/bin/tsc'],
  ['5.9', 'node_modules/typescript59/bin/tsc'],
  ['of this repository', 'node_modules/typescript/bin/tsc']
] as const

const APP = `
  import { App, defineMiddleware, type IopaKeys } from '@iopa/appbuilder'
  declare module '@iopa/appbuilder' {
    interface IopaKeys { 'acme.Tenant': string }
  }
  const auth = defineMiddleware({ name: 'auth', provides: ['server.User'] }, (context, next) => {
    context['server.User'] = { id: 'ann' }
    return next()
  })
  const tenant = defineMiddleware({ name: 'tenant', provides: ['acme.Tenant'] }, (context, next) => {
    context['acme.Tenant'] = 'a'
    return next()
  })
  const greets = defineMiddleware({ name: 'greets', requires: ['server.User'] }, context => 'hello ' + context['server.User'].id)

  // A key that middleware provides is there, and so is its alias.
  new App().use(auth).use(context => context['server.User'].id + context.user.id)
  new App().use(auth).use(tenant).use(context => context['acme.Tenant'].length + context.user.id.length)
  // @ts-expect-error nothing provides it here
  new App().use(context => context['server.User'].id)
  // @ts-expect-error nothing provides it here
  new App().use(context => context['acme.Tenant'].length)
  // @ts-expect-error a misspelt key
  new App().use(context => context['iopa.Methud'])

  // What is mounted may require what the app around it provides.
  new App().use(auth).use(greets)
  new App().use(auth).mount('/greeting', greets)
  new App().use(auth).mount('/greeting', context => context.user.id)
  const inner = new App({ requires: ['server.User'] }).use(greets).use(tenant).use(context => context.user.id + context['acme.Tenant'])
  new App().use(auth).mount('/inner', inner)
  new App().use(auth).use(inner)
  new App().use(auth).mount('/plain', new App().use(() => 'plain'))
  new App().use(auth).fork(context => context.path === '/', branch => branch.use(greets).use(context => context.user.id))
  // @ts-expect-error nothing before it provides a user
  new App().mount('/greeting', greets)
  // @ts-expect-error nothing before it provides a user
  new App().mount('/inner', inner)
  // @ts-expect-error nothing before it provides a user
  new App().use(inner)
  // @ts-expect-error nothing before it provides a user
  new App().fork(() => true, branch => branch.use(greets))

  // Bytes are what the web takes as a body.
  new App().use(async context => new Response(await context.bytes()))
  export const copy = async (app: App): Promise<Blob> => new Blob([await (await app.invoke({ 'iopa.Path': '/' })).bytes()])
  export type Tenant = IopaKeys['acme.Tenant']
`

const ALL = `
  import { App, defineMiddleware } from '@iopa/appbuilder'
  import { coap } from '@iopa/coap'
  import { http } from '@iopa/http'
  import { toFetchHandler } from '@iopa/http/fetch'
  import { mqtt } from '@iopa/mqtt'
  import { router } from '@iopa/router'
  import { serveStatic } from '@iopa/static'
  import { tcp } from '@iopa/tcp'
  import { udp } from '@iopa/udp'
  declare module '@iopa/appbuilder' {
    interface IopaKeys { 'acme.Room': string }
    interface RouteAttributes { readonly acme?: { readonly room: string } }
  }
  const app = new App().use(router()).use(http()).use(coap()).use(mqtt()).use(tcp()).use(udp()).use(serveStatic('public'))
  // Attributes of the app and of the core are side by side, and typed.
  app.get('/hall', { rt: 'room', acme: { room: 'hall' } }, () => 1)
  for (const { attributes } of app.routes()) attributes.acme?.room.concat(attributes.rt ?? '')
  // @ts-expect-error a wrong type
  app.get('/hall', { acme: { room: 1 } }, () => 1)
  // What middleware of a route provides is there for its handler.
  const user = defineMiddleware({ name: 'user', provides: ['server.User'] }, (_, next) => next())
  app.get('/me/:id', user, (context, next) => (context.user.id === '' ? undefined : next()), context => context.user.id + context.params.id)
  app.group('/us', group => group.use(user).get('/:id', context => context.user.id + context.params.id))
  // @ts-expect-error nothing before it provides a user
  app.get('/me', context => context['server.User'].id)
  // Keys of packages and keys of the app are side by side.
  app.get('/:id', context => [context.params.id, context['mqtt.Topic'], context['coap.Confirmable'], context['acme.Room']?.length])
  export const handler = toFetchHandler(app)
`

const RESOURCES = `
  import { App } from '@iopa/appbuilder'
  import type { Schema } from '@iopa/appbuilder/extension'
  import { at, collection, isProblem, resource, resources } from '@iopa/resource'
  import { router } from '@iopa/router'
  declare const Light: Schema<{ on: boolean; level?: number }, { on: boolean; level: number }>
  declare const Text: Schema<string>
  const light = resource('/lights/{id}', {
    state: Light,
    computed: { href: Text },
    methods: { get: {}, put: { errors: { busy: { status: 409 } } }, patch: {}, post: { input: Text, answer: Text } }
  })
  const lights = collection(light, '/lights', { create: true, filter: ['on'] })
  const app = new App().use(router()).use(resources())
  app.serve(light, {
    get: ({ params }) => ({ on: true, level: params.id.length, href: '/' }),
    put: ({ input }) => void input.level.toFixed(),
    post: ({ input }) => input.toUpperCase()
  })
  app.serve(lights, { get: ({ query }) => ({ items: [], next: query.on ?? '' }), post: ({ input }) => ({ id: '1', state: { ...input, href: '/' } }) })
  app.put('/plain/:id', { input: Light }, ({ input, params }) => input.level + params.id.length)
  // @ts-expect-error a member that the schema does not give
  app.put('/plain/:id', { input: Light }, ({ input }) => input.colour)
  // @ts-expect-error a handler is missing
  app.serve(light, { get: () => undefined, put: () => undefined })
  export const use = async (): Promise<string> => {
    const hall = at(app, light, { id: 'hall' })
    await hall.put({ on: true })
    await hall.patch({ level: 3 })
    const page = await at(app, lights).get({ query: { on: true, limit: 5 } })
    try {
      return ((await hall.get()).href + (await hall.post('x'))) + page.items[0]?.state.level
    } catch (error) {
      return isProblem(light, error) && error.code === 'busy' ? 'busy' : ''
    }
  }
`

// `types: []` is an app without @types/node; `lib` is what TypeScript takes by itself for this target, and its own files need no check.
const CONFIG = {
  compilerOptions: {
    strict: true,
    target: 'es2022',
    module: 'esnext',
    moduleResolution: 'bundler',
    noEmit: true,
    skipLibCheck: false,
    skipDefaultLibCheck: true,
    types: []
  },
  files: ['app.ts', 'all.ts', 'resources.ts']
}

/** The keys that the sources of a package add to those of the context. */
const addedKeys = (folder: string): string[] =>
  readdirSync(join(packages, folder, 'src'), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => readFileSync(join(packages, folder, 'src', name), 'utf8'))
    .filter(text => /^declare module '@iopa\//m.test(text))
    .flatMap(text => [...text.matchAll(/^ {4}(?:readonly )?'([\w.-]+)'\??: /gm)].map(([, key]) => key as string))

const built = existsSync(join(root, 'packages/appbuilder/dist'))

describe.skipIf(!built)('an app installed with pnpm, without @types/node and with skipLibCheck false', () => {
  let place: string
  beforeAll(() => {
    place = realpathSync(mkdtempSync(join(tmpdir(), 'iopa-consumer-')))
    install(place, WANTED)
    writeFileSync(join(place, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
    writeFileSync(join(place, 'app.ts'), APP)
    writeFileSync(join(place, 'all.ts'), ALL)
    writeFileSync(join(place, 'resources.ts'), RESOURCES)
    writeFileSync(join(place, 'tsconfig.json'), JSON.stringify(CONFIG))
  })
  afterAll(() => rmSync(place, { recursive: true, force: true }))

  test.each(COMPILERS)(
    'compiles with TypeScript %s',
    async (_, compiler) => {
      const errors = await run(process.execPath, [join(root, compiler), '-p', place], { cwd: place }).catch(
        (error: { stdout: string; message: string }) => error
      )
      expect(errors.stdout || ('message' in errors ? errors.message : '')).toBe('')
    },
    60_000
  )
})

describe.skipIf(!built)('the built declarations', () => {
  test.each([...folderOf])('of %s have the keys that its sources add', (_, folder) => {
    const text = readFileSync(join(packages, folder, 'dist/index.d.ts'), 'utf8')
    expect(addedKeys(folder).filter(key => !text.includes(`'${key}': `) && !text.includes(`'${key}'?: `))).toEqual([])
  })
})
