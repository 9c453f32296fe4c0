import { App } from '@iopa/appbuilder'
import type { Schema } from '@iopa/appbuilder/extension'
import { router } from '@iopa/router'
import { at, collection, resource, resources } from '../src/index.ts'

// What must not compile; tsc checks it.
declare const Light: Schema<{ on: boolean; level?: number }, { on: boolean; level: number }>
declare const Text: Schema<string>
declare const Count: Schema<{ n: string }, { n: number }>
const light = resource('/lights/{id}', {
  state: Light,
  computed: { href: Text },
  methods: { get: { query: Count }, put: {}, patch: {}, delete: {}, post: { input: Count, answer: Text } }
})
const app = new App().use(router()).use(resources())
const get = () => undefined
const others = { get, put: get, delete: get, post: get }

app.serve(light, others)
app.serve(light, { ...others, get: ({ params, query }) => ({ on: true, level: query.n, href: params.id }) })
app.serve(light, { ...others, put: ({ input }) => void input.level.toFixed(), post: ({ input }) => String(input.n) })
app.serve(light, { ...others, patch: async ({ input }) => ({ ...(await input.apply({ on: true, level: 1 })), href: '/' }) })
// @ts-expect-error a handler is missing
app.serve(light, { get, put: get, delete: get })
// @ts-expect-error a parameter that the path does not have
app.serve(light, { ...others, get: ({ params }) => params.ident })
// @ts-expect-error a member that the query does not have
app.serve(light, { ...others, get: ({ query }) => void query.m })
// @ts-expect-error an answer of another shape
app.serve(light, { ...others, get: () => ({ on: 1, level: 1, href: '/' }) })
// @ts-expect-error an answer without its computed member
app.serve(light, { ...others, get: () => ({ on: true, level: 1 }) })
// @ts-expect-error an input of another shape
app.serve(light, { ...others, put: ({ input }) => void input.colour })
// @ts-expect-error a method that is not declared
app.serve(resource('/x', { methods: { get: {} } }), { get, putt: get })
// @ts-expect-error an option that there is none of
app.serve(light, others, { before: [] })
// @ts-expect-error an option that there is none of
resources({ answer: 'check' })
// @ts-expect-error JSON Schema is no schema
resource('/x', { state: { type: 'object' }, methods: {} })
// @ts-expect-error a status is missing
resource('/x', { methods: { get: { errors: { busy: {} } } } })

const hall = at(app, light, { id: 'hall' })
hall.put({ on: true })
hall.get({ query: { n: '1' } }).then(({ href, level }) => href.length + level)
hall.patch({ level: null })
hall.post({ n: '1' }).then(answer => answer?.length)
// @ts-expect-error a member of another type
hall.put({ on: 1 })
// @ts-expect-error the server adds it
hall.put({ on: true, href: '/' })
// @ts-expect-error a patch of a member that there is none of
hall.patch({ colour: 1 })
// @ts-expect-error a query of another shape
hall.get({ query: { n: 1 } })
// @ts-expect-error a method that is not declared
hall.fetch()
// @ts-expect-error what has no GET is not observed
at(app, resource('/x', { methods: { post: {} } })).observe()
// @ts-expect-error a parameter of another name
at(app, light, { ident: 'hall' })

const lights = collection(light, '/lights', { filter: ['on', 'href'] })
at(app, lights).get({ query: { on: true, limit: 5 } })
// @ts-expect-error a member that is not filtered by
at(app, lights).get({ query: { level: 5 } })
// @ts-expect-error without create there is no POST
at(app, lights).post({ on: true })
