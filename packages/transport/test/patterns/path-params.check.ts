import type { PathParams } from '../../src/patterns/path-params.ts'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>): void => {}
type Id = { readonly id: string }
type None = Readonly<Record<never, string>>

same<PathParams<'/'>, None>(true)
same<PathParams<'/lights'>, None>(true)
same<PathParams<'/lights/:id'>, Id>(true)
same<PathParams<'/lights/{id}'>, Id>(true)
same<PathParams<'/lights/{id:[0-9]+}'>, Id>(true)
same<PathParams<'/lights/{id:[0-9]{1,3}}'>, Id>(true)
same<PathParams<'/lights/{id:(?:[a-f]{2}-){2}x}/:b'>, { readonly id: string; readonly b: string }>(true)
same<PathParams<'/lights/{id:[^/]+}/x'>, Id>(true)
same<PathParams<'/lights/{id:a:b}'>, Id>(true)
same<PathParams<'/lights/:id{[0-9]{2}}'>, Id>(true)
same<PathParams<'/lights/:id{[0-9]+}?'>, { readonly id?: string | undefined }>(true)
same<PathParams<'/lights/:id?'>, { readonly id?: string | undefined }>(true)
same<PathParams<'/lights/{id}?'>, { readonly id?: string | undefined }>(true)
same<PathParams<'/{lang:en|de}?/lights/:id'>, { readonly lang?: string | undefined; readonly id: string }>(true)
same<PathParams<'/files/*'>, { readonly '*': string }>(true)
same<PathParams<'/files/{rest*}'>, { readonly rest: string }>(true)
same<PathParams<'/files/{rest*}?'>, { readonly rest?: string | undefined }>(true)
same<PathParams<'/a/:one/{two}/c/{three:x+}/*'>, { readonly one: string; readonly two: string; readonly three: string; readonly '*': string }>(true)
same<PathParams<'/v1:run'>, None>(true)
same<PathParams<'/compare/{base}...{head}'>, { readonly base: string; readonly head: string }>(true)
same<PathParams<'/files/{name}.{ext}'>, { readonly name: string; readonly ext: string }>(true)
same<PathParams<'/lights/{id}.json'>, Id>(true)
same<PathParams<'/lights/{id:[0-9]{1,3}}.json/:part?'>, { readonly id: string; readonly part?: string | undefined }>(true)
same<PathParams<'/v{id}/x'>, Id>(true)
same<PathParams<'/jobs/{id}:cancel'>, Id>(true)
same<PathParams<'/jobs/{id}:run{b}/:c'>, { readonly id: string; readonly b: string; readonly c: string }>(true)
same<PathParams<'/a/{id}-{b}/{c}?/*'>, { readonly id: string; readonly b: string; readonly c?: string | undefined; readonly '*': string }>(true)
same<PathParams<string>, Readonly<Record<string, string | undefined>>>(true)

declare const params: PathParams<'/lights/:id/{part}?'>
params.id.length
// @ts-expect-error a wrong name
params.ident
// @ts-expect-error an optional parameter may be undefined
params.part.length
// @ts-expect-error parameters are read-only
params.id = 'x'
// @ts-expect-error a pattern without parameters has none
;({}) as PathParams<'/lights'>['id']
