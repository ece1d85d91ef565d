// Makes the requests that virtual-stain.groovy makes, with its own client, and fails if an answer is not as expected:
//
//	traffic.groovy SCRIPT ADDRESS TOKEN SLIDE FOLDER
//
// SLIDE is a file that the server has; what is downloaded goes to FOLDER.
import java.nio.file.Files
import java.nio.file.Path

def (script, address, token, slide, folder) = args
String text = new File(script as String).getText('UTF-8')
GroovyClassLoader loader = new GroovyClassLoader(getClass().classLoader)
loader.parseClass(text.substring(0, text.indexOf('// ---- QuPath')), 'client.groovy')
Class Client = loader.loadClass('HistDistClient')
Path file = Path.of(slide as String)
Path out = Path.of(folder as String)

def refused = { int status, Closure<?> task ->
    try {
        task()
    } catch (RuntimeException e) {
        assert e.class.simpleName == 'HistDistProblem' && e.status == status && e.message
        return
    }
    assert false: "status ${status} was expected"
}

// Without a server.
assert Client.addressOf('127.0.0.1:8080') == new URI('http://127.0.0.1:8080/')
assert Client.addressOf(' https://example.org/histdist ') == new URI('https://example.org/histdist/')
['', 'ftp://example.org', 'http://', 'http://a b', 'http://user:secret@example.org'].each { wrong ->
    refused(0) { Client.addressOf(wrong) }
}
assert Client.named([dab_positive_share: 0.25d, h_score: null, positive_share_nuclei: 0.5d, nuclei: 12d], 'ER') ==
        ['Virtual ER: DAB-positive area %': 25d, 'Virtual ER: positive nuclei %': 50d, 'Virtual ER: nuclei': 12d]

refused(401) { Client.newInstance(address, 'not the token').models() }

def client = Client.newInstance(address, token)
Map model = client.models()[0]
assert model.marker == 'ER' && model.default_preset in model.presets*.name

Map here = client.findSlide(file.fileName.toString(), 1536, 1024)
assert here.id
assert client.findSlide('another.svs', 1536, 1024) == null
refused(0) { client.findSlide(file.fileName.toString(), 1536, 1023) }

Map sent = client.upload(file, 'a slide & more.ome.tiff', 0.5d)
assert sent.width == 1536 && sent.height == 1024 && sent.id != here.id
client.deleteUpload(sent.id)

List<Map> geometries = [[type: 'Polygon', coordinates: [[[700, 500], [764, 500], [764, 548], [700, 548], [700, 500]]], isEllipse: true]]
refused(422) { client.start(here.id, model.id, 'none such', false, geometries, 'key 1') }
Map job = client.start(here.id, model.id, model.default_preset, false, geometries, 'key 2')
assert client.start(here.id, model.id, model.default_preset, false, geometries, 'key 2').id == job.id
job = client.await(job.id) { true }
assert job.state == 'done': job
assert job.placement == [x: 0d, y: 0d, width: 1536d, height: 1024d]
assert Client.named(client.measurements(job), job.marker).keySet().every { it.startsWith('Virtual ER: ') }

long bytes = 0
client.download(job.results.ome_tiff, out.resolve('stain.ome.tiff')) { bytes = it; true }
assert bytes == Files.size(out.resolve('stain.ome.tiff')) && bytes > 1000
client.download(job.results.geojson, out.resolve('area.geojson')) { true }
assert Files.readString(out.resolve('area.geojson')).contains('FeatureCollection')
client.download(job.results.provenance, out.resolve('provenance.json')) { true }
assert out.toFile().list().every { !it.endsWith('.part') }

Map second = client.start(here.id, model.id, model.default_preset, true, geometries, 'key 3')
client.delete(second.id) // cancels
client.delete(job.id)
refused(404) { client.job(job.id) }
